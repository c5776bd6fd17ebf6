// SPDX-License-Identifier: GPL-2.0-or-later

package ippkt

import (
	"errors"
	"testing"
)

func flow4(f Flow) Flow {
	f.Src, f.Dst = addr4A, addr4B
	return f
}

func flow6(f Flow) Flow {
	f.Src, f.Dst = addr6A, addr6B
	return f
}

func TestFlowOf(t *testing.T) {
	for _, tt := range []struct {
		name string
		b    []byte
		want Flow
	}{
		{"TCP", ip4(6, 0, nil, tcp(1025, 80)), flow4(Flow{Protocol: 6, SrcPort: 1025, DstPort: 80})},
		{"UDP behind options", ip4(17, 0, make([]byte, 8), udp(53, 40000)),
			flow4(Flow{Protocol: 17, SrcPort: 53, DstPort: 40000})},
		{"SCTP", ip4(132, 0, nil, tcp(7, 9)[:12]), flow4(Flow{Protocol: 132, SrcPort: 7, DstPort: 9})},
		{"DCCP", ip4(33, 0, nil, tcp(7, 9)[:12]), flow4(Flow{Protocol: 33, SrcPort: 7, DstPort: 9})},
		{"UDP-Lite", ip6(136, udp(7, 9)), flow6(Flow{Protocol: 136, SrcPort: 7, DstPort: 9})},
		{"TCP behind extension headers", ip6(0, ext(60), ext(6), tcp(1025, 80)),
			flow6(Flow{Protocol: 6, SrcPort: 1025, DstPort: 80})},
		{"nothing but ports", ip4(6, 0, nil, tcp(1025, 80)[:4]), flow4(Flow{Protocol: 6, SrcPort: 1025,
			DstPort: 80})},
		{"half the ports", ip4(6, 0, nil, tcp(1025, 80)[:3]), flow4(Flow{Protocol: 6,
			NoTransport: true})},
		{"ports in the padding", append(ip4(6, 0, nil), tcp(1025, 80)...),
			flow4(Flow{Protocol: 6, NoTransport: true})},
		{"cut behind the ports", ip4(6, 0, nil, tcp(1025, 80, pattern(100)...))[:24],
			flow4(Flow{Protocol: 6, SrcPort: 1025, DstPort: 80})},
		{"cut in the ports", ip6(6, tcp(1025, 80))[:43], flow6(Flow{Protocol: 6, NoTransport: true})},
		{"ESP", ip4(50, 0, nil, tcp(1, 2)), flow4(Flow{Protocol: 50})},

		{"first fragment", ip4(17, 0x2000, nil, udp(1, 2)), flow4(Flow{Protocol: 17, SrcPort: 1,
			DstPort: 2, Fragment: true})},
		{"later fragment", ip4(17, 1, nil, udp(1, 2)), flow4(Flow{Protocol: 17, Fragment: true,
			NoTransport: true})},
		{"IPv6 atomic fragment", ip6(44, frag6(17, 0, false, 5), udp(1, 2)),
			flow6(Flow{Protocol: 17, SrcPort: 1, DstPort: 2})},
		{"IPv6 first fragment", ip6(44, frag6(60, 0, true, 5), ext(17), udp(1, 2)),
			flow6(Flow{Protocol: 17, SrcPort: 1, DstPort: 2, Fragment: true})},
		{"IPv6 later fragment", ip6(44, frag6(60, 16, false, 5), ext(17), udp(1, 2)),
			flow6(Flow{Protocol: 60, Fragment: true, NoTransport: true})},

		{"ICMP echo", ip4(1, 0, nil, icmp(8, 0, 0x1234)), flow4(Flow{Protocol: 1, ICMPType: 8,
			ICMPID: 0x1234})},
		{"ICMP timestamp reply", ip4(1, 0, nil, icmp(14, 0, 9)), flow4(Flow{Protocol: 1, ICMPType: 14,
			ICMPID: 9})},
		{"ICMP unreachable", ip4(1, 0, nil, icmp(3, 4, 0xffff)), flow4(Flow{Protocol: 1, ICMPType: 3,
			ICMPCode: 4})},
		{"ICMP cut", ip4(1, 0, nil, icmp(8, 0, 9)[:7]), flow4(Flow{Protocol: 1, NoTransport: true})},
		{"ICMP later fragment", ip4(1, 1, nil, icmp(8, 0, 9)), flow4(Flow{Protocol: 1, Fragment: true,
			NoTransport: true})},
		{"ICMPv6 echo reply", ip6(58, icmp(129, 0, 0xffff)), flow6(Flow{Protocol: 58, ICMPType: 129,
			ICMPID: 0xffff})},
		{"ICMPv6 neighbour solicitation", ip6(58, icmp(135, 0, 0xffff)),
			flow6(Flow{Protocol: 58, ICMPType: 135})},
		{"ICMPv6 over IPv4", ip4(58, 0, nil, icmp(128, 0, 1)), flow4(Flow{Protocol: 58})},
		{"ICMP over IPv6", ip6(1, icmp(8, 0, 1)), flow6(Flow{Protocol: 1})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := FlowOf(tt.b)
			if err != nil {
				t.Error(err)
			}
			if got != tt.want {
				t.Errorf("\n got %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

func TestFlowOfErrors(t *testing.T) {
	for _, tt := range []struct {
		name string
		b    []byte
		err  error
		want Flow
	}{
		{"empty", nil, ErrShortHeader, Flow{}},
		{"ARP", []byte{0, 1, 8, 0}, ErrNotIP, Flow{}},
		{"IPv4 header cut", ip4(6, 0, nil)[:19], ErrShortHeader, Flow{}},
		{"IPv4 options cut", ip4(6, 0, make([]byte, 8))[:24], ErrShortHeader,
			flow4(Flow{Protocol: 6, NoTransport: true})},
		{"IPv6 extension header cut", ip6(60, []byte{6}), ErrShortExtension,
			flow6(Flow{Protocol: 60, NoTransport: true})},
	} {
		got, err := FlowOf(tt.b)
		if !errors.Is(err, tt.err) {
			t.Errorf("%s: error %v, want %v", tt.name, err, tt.err)
		}
		if got != tt.want {
			t.Errorf("%s:\n got %+v\nwant %+v", tt.name, got, tt.want)
		}
	}
}

func TestFlowHasPorts(t *testing.T) {
	for _, tt := range []struct {
		name string
		b    []byte
		want bool
	}{
		{"TCP", ip4(6, 0, nil, tcp(1, 2)), true},
		{"UDP with both ports 0", ip6(17, udp(0, 0)), true},
		{"first fragment", ip4(17, 0x2000, nil, udp(1, 2)), true},
		{"later fragment", ip4(17, 1, nil, udp(1, 2)), false},
		{"cut", ip4(17, 0, nil, udp(1, 2))[:22], false},
		{"ICMP", ip4(1, 0, nil, icmp(8, 0, 1)), false},
		{"ESP", ip4(50, 0, nil, udp(1, 2)), false},
	} {
		f, err := FlowOf(tt.b)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if f.HasPorts() != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, f.HasPorts(), tt.want)
		}
	}
	if (Flow{}).HasPorts() {
		t.Error("the zero Flow has ports")
	}
}

func TestFlowReverse(t *testing.T) {
	for _, tt := range []struct {
		name      string
		one, back Flow
	}{
		{"TCP", Flow{Protocol: 6, SrcPort: 1, DstPort: 2}, Flow{Protocol: 6, SrcPort: 2, DstPort: 1}},
		{"echo", Flow{Protocol: 1, ICMPType: 8, ICMPID: 3}, Flow{Protocol: 1, ICMPType: 0, ICMPID: 3}},
		{"timestamp", Flow{Protocol: 1, ICMPType: 13, ICMPID: 3}, Flow{Protocol: 1, ICMPType: 14,
			ICMPID: 3}},
		{"information", Flow{Protocol: 1, ICMPType: 15, ICMPID: 3},
			Flow{Protocol: 1, ICMPType: 16, ICMPID: 3}},
		{"address mask", Flow{Protocol: 1, ICMPType: 17, ICMPID: 3},
			Flow{Protocol: 1, ICMPType: 18, ICMPID: 3}},
		{"extended echo", Flow{Protocol: 1, ICMPType: 42, ICMPID: 3},
			Flow{Protocol: 1, ICMPType: 43, ICMPID: 3}},
		{"ICMP error", Flow{Protocol: 1, ICMPType: 3, ICMPCode: 1},
			Flow{Protocol: 1, ICMPType: 3, ICMPCode: 1}},
		{"later fragment", Flow{Protocol: 1, Fragment: true, NoTransport: true},
			Flow{Protocol: 1, Fragment: true, NoTransport: true}},
		{"ICMPv6 number over IPv4", Flow{Protocol: 58, ICMPType: 128}, Flow{Protocol: 58, ICMPType: 128}},
	} {
		one, back := flow4(tt.one), flow4(tt.back)
		back.Src, back.Dst = back.Dst, back.Src
		if got := one.Reverse(); got != back {
			t.Errorf("%s:\n got %+v\nwant %+v", tt.name, got, back)
		}
		if got := back.Reverse(); got != one {
			t.Errorf("%s, back:\n got %+v\nwant %+v", tt.name, got, one)
		}
	}
	for _, tt := range [][2]uint8{{128, 129}, {160, 161}, {135, 135}, {1, 1}} {
		one := flow6(Flow{Protocol: 58, ICMPType: tt[0], ICMPID: 8})
		back := Flow{Src: addr6B, Dst: addr6A, Protocol: 58, ICMPType: tt[1], ICMPID: 8}
		if got := one.Reverse(); got != back {
			t.Errorf("ICMPv6 type %d:\n got %+v\nwant %+v", tt[0], got, back)
		}
		if got := back.Reverse(); got != one {
			t.Errorf("ICMPv6 type %d:\n got %+v\nwant %+v", tt[1], got, one)
		}
	}
}

func TestQuotedFlow(t *testing.T) {
	q4 := ip4(17, 0, nil, udp(5000, 53, pattern(200)...))
	q6 := ip6(60, ext(6), tcp(5000, 443, pattern(200)...))
	want4 := flow4(Flow{Protocol: 17, SrcPort: 5000, DstPort: 53})
	want6 := flow6(Flow{Protocol: 6, SrcPort: 5000, DstPort: 443})
	type test struct {
		name string
		b    []byte
		want Flow
		ok   bool
	}
	tests := []test{
		{"the 8 bytes of RFC 792", ip4(1, 0, nil, icmp(3, 3, 0, q4[:28]...)), want4, true},
		{"ports cut", ip4(1, 0, nil, icmp(3, 3, 0, q4[:22]...)), flow4(Flow{Protocol: 17,
			NoTransport: true}), true},
		{"quoted fragment", ip4(1, 0, nil, icmp(11, 1, 0, ip4(17, 0x2000, nil, udp(1, 2))...)),
			flow4(Flow{Protocol: 17, SrcPort: 1, DstPort: 2, Fragment: true}), true},
		{"quoted echo", ip4(1, 0, nil, icmp(3, 1, 0, ip4(1, 0, nil, icmp(8, 0, 99))...)),
			flow4(Flow{Protocol: 1, ICMPType: 8, ICMPID: 99}), true},
		{"quoted error", ip4(1, 0, nil, icmp(3, 1, 0, ip4(1, 0, nil, icmp(3, 2, 0, q4...))...)),
			flow4(Flow{Protocol: 1, ICMPType: 3, ICMPCode: 2}), true},
		{"first fragment of an error", ip4(1, 0x2000, nil, icmp(3, 3, 0, q4...)), want4, true},
		{"later fragment", ip4(1, 1, nil, icmp(3, 3, 0, q4...)), Flow{}, false},
		{"nothing quoted", ip4(1, 0, nil, icmp(3, 3, 0)), Flow{}, false},
		{"half a header quoted", ip4(1, 0, nil, icmp(3, 3, 0, q4[:19]...)), Flow{}, false},
		{"junk quoted", ip4(1, 0, nil, icmp(3, 3, 0, pattern(60)...)), Flow{}, false},
		{"quote in the padding", append(ip4(1, 0, nil, icmp(3, 3, 0)), q4...), Flow{}, false},
		{"IPv6 quoted in ICMP", ip4(1, 0, nil, icmp(3, 3, 0, q6...)), Flow{}, false},
		{"IPv4 quoted in ICMPv6", ip6(58, icmp(1, 3, 0, q4...)), Flow{}, false},
		{"echo", ip4(1, 0, nil, icmp(8, 0, 0, q4...)), Flow{}, false},
		{"ICMPv6 echo", ip6(58, icmp(128, 0, 0, q6...)), Flow{}, false},
		{"ICMPv6 redirect", ip6(58, icmp(137, 0, 0, q6...)), Flow{}, false},
		{"UDP", q4, Flow{}, false},
		{"empty", nil, Flow{}, false},
		{"ICMPv6 behind an extension header", ip6(0, ext(58), icmp(2, 0, 0, q6...)), want6, true},
		{"extension header cut in the quote", ip6(58, icmp(1, 0, 0, q6[:44]...)),
			flow6(Flow{Protocol: 60, NoTransport: true}), true},
	}
	for _, typ := range []uint8{3, 4, 5, 11, 12} {
		tests = append(tests, test{"ICMP error", ip4(1, 0, nil, icmp(typ, 1, 0, q4...)), want4, true})
	}
	for _, typ := range []uint8{1, 2, 3, 4, 100, 127} {
		tests = append(tests, test{"ICMPv6 error", ip6(58, icmp(typ, 1, 0, q6...)), want6, true})
	}
	for _, tt := range tests {
		got, ok := QuotedFlow(tt.b)
		if got != tt.want || ok != tt.ok {
			t.Errorf("%s:\n got %+v, %v\nwant %+v, %v", tt.name, got, ok, tt.want, tt.ok)
		}
	}
}

func TestFlowString(t *testing.T) {
	for _, tt := range []struct {
		b    []byte
		want string
	}{
		{ip4(6, 0, nil, tcp(1024, 80)), "tcp 192.0.2.1:1024 > 198.51.100.77:80"},
		{ip6(60, ext(17), udp(1, 0)), "udp [2001:db8::1]:1 > [2001:db8:1:2:3:4:5:6]:0"},
		{ip6(58, icmp(128, 0, 7)), "icmpv6 2001:db8::1 > 2001:db8:1:2:3:4:5:6 type 128 code 0 id 7"},
		{ip4(1, 0, nil, icmp(3, 1, 7)), "icmp 192.0.2.1 > 198.51.100.77 type 3 code 1"},
		{ip4(1, 0, nil, []byte("cut")), "icmp 192.0.2.1 > 198.51.100.77"},
		{ip4(17, 0x2000, nil, udp(1024, 80)), "udp 192.0.2.1:1024 > 198.51.100.77:80 fragment"},
		{ip4(17, 1, nil, udp(1024, 80)), "udp 192.0.2.1 > 198.51.100.77 fragment"},
		{ip4(47, 0, nil), "gre 192.0.2.1 > 198.51.100.77"},
		{ip4(99, 0, nil), "protocol 99 192.0.2.1 > 198.51.100.77"},
		{nil, "no IP packet"},
	} {
		f, _ := FlowOf(tt.b)
		if got := f.String(); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}
