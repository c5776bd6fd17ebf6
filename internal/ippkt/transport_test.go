// SPDX-License-Identifier: GPL-2.0-or-later

package ippkt

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// tcpOptions is a TCP header of n bytes, with data.
func tcpOptions(n int, data ...byte) []byte {
	h := tcp(1, 2, append(make([]byte, n-20), data...)...)
	h[12] = byte(n/4) << 4
	return h
}

// udpOf is a UDP datagram that states another length.
func udpOf(stated uint16, data ...byte) []byte {
	h := udp(1, 2, data...)
	binary.BigEndian.PutUint16(h[4:], stated)
	return h
}

func TestFindTransport(t *testing.T) {
	data := []byte("data")
	dccp := append(make([]byte, 16), data...)
	dccp[4] = 4
	ah := append([]byte{6, 4}, make([]byte, 22)...)
	gre := func(flags uint16, n int) []byte {
		return append(binary.BigEndian.AppendUint16(nil, flags), make([]byte, n-2)...)
	}
	big := ip6(6, tcp(1, 2), pattern(70000))
	big[4], big[5] = 0, 0
	jumbo := ip6(0, ext(17, append([]byte{0xc2, 4}, binary.BigEndian.AppendUint32(nil, 70016)...)...),
		udpOf(0, pattern(70000)...), []byte("padding"))
	jumbo[4], jumbo[5] = 0, 0

	for _, tt := range []struct {
		name   string
		b      []byte
		cut    bool
		header int // its length; -1 when there is none
		body   string
		isCut  bool
	}{
		{name: "TCP", b: ip4(6, 0, nil, tcp(1, 2, data...)), header: 20, body: "data"},
		{name: "TCP options", b: ip4(6, 0, nil, tcpOptions(32, data...)), header: 32, body: "data"},
		{name: "TCP, all options", b: ip6(6, tcpOptions(60)), header: 60},
		{name: "TCP, IPv4 options", b: ip4(6, 0, make([]byte, 8), tcp(1, 2, data...)), header: 20,
			body: "data"},
		{name: "TCP, no header of 16 bytes", b: ip4(6, 0, nil, tcpOptions(20)[:12], []byte{4 << 4},
			make([]byte, 20)), header: -1},
		{name: "TCP, options beyond the packet", b: ip4(6, 0, nil, tcpOptions(32)[:31]), header: -1},
		{name: "TCP, ends in its header", b: ip4(6, 0, nil, tcp(1, 2)[:12]), header: -1},
		{name: "TCP, padding", b: append(ip4(6, 0, nil, tcp(1, 2, data...)), "padding"...), header: 20,
			body: "data"},
		{name: "TCP, cut in its body", b: ip4(6, 0, nil, tcp(1, 2, data...))[:42], cut: true,
			header: 20, body: "da", isCut: true},
		{name: "TCP, cut in its header", b: ip4(6, 0, nil, tcp(1, 2, data...))[:39], cut: true,
			header: -1, isCut: true},
		{name: "TCP, only padding cut", b: append(ip4(6, 0, nil, tcp(1, 2, data...)), "pa"...),
			cut: true, header: 20, body: "data"},
		{name: "TCP, shorter than it states, not told", b: ip4(6, 0, nil, tcp(1, 2, data...))[:42],
			header: 20, body: "da", isCut: true},
		{name: "BIG TCP", b: big, header: 20, body: string(pattern(70000))},
		{name: "BIG TCP, cut", b: big[:1000], cut: true, header: 20, body: string(pattern(940)),
			isCut: true},
		{name: "BIG TCP, IPv4", b: func() []byte {
			b := ip4(6, 0, nil, tcp(1, 2, data...))
			b[2], b[3] = 0, 0
			return b
		}(), header: 20, body: "data"},
		{name: "UDP", b: ip6(17, udp(1, 2, data...)), header: 8, body: "data"},
		{name: "UDP, empty", b: ip6(17, udp(1, 2)), header: 8},
		{name: "UDP, ends in its header", b: ip4(17, 0, nil, udp(1, 2)[:7]), header: -1},
		{name: "UDP, surplus", b: ip4(17, 0, nil, udpOf(12, []byte("datasurplus")...)), header: 8,
			body: "data"},
		{name: "UDP, cut in its surplus", b: ip4(17, 0, nil, udpOf(12, []byte("datasurplus")...))[:33],
			cut: true, header: 8, body: "data"},
		{name: "UDP, cut", b: ip4(17, 0, nil, udp(1, 2, data...))[:30], cut: true, header: 8,
			body: "da", isCut: true},
		{name: "UDP, impossible length", b: ip4(17, 0, nil, udpOf(7, data...)), header: 8, body: "data"},
		{name: "UDP, jumbogram", b: jumbo, header: 8, body: string(pattern(70000))},
		{name: "UDP-Lite", b: ip6(136, udpOf(8, data...)), header: 8, body: "data"},
		{name: "UDP, extension headers", b: ip6(0, ext(43), ext(60), ext(17), udp(1, 2, data...)),
			header: 8, body: "data"},
		{name: "UDP, in an extension header", b: ip6(60, ext(17)[:7]), header: -1},
		{name: "UDP, cut before its header", b: ip6(60, ext(17), udp(1, 2, data...))[:44], cut: true,
			header: -1, isCut: true},
		{name: "first fragment", b: ip4(17, 0x2000, nil, udpOf(1000, data...)), header: 8, body: "data"},
		{name: "first fragment, IPv6", b: ip6(44, frag6(60, 0, true, 7), ext(17), udpOf(1000, data...)),
			header: 8, body: "data"},
		{name: "atomic fragment", b: ip6(44, frag6(17, 0, false, 7), udp(1, 2, data...)), header: 8,
			body: "data"},
		{name: "later fragment", b: ip4(17, 0x2001, nil, data), header: -1, body: "data"},
		{name: "last fragment, padding", b: append(ip4(17, 0x0001, nil, data), "padding"...),
			header: -1, body: "data"},
		{name: "later fragment, IPv6", b: ip6(44, frag6(17, 8, true, 7), data), header: -1, body: "data"},
		{name: "later fragment, cut", b: ip6(44, frag6(17, 8, true, 7), data)[:50], cut: true,
			header: -1, body: "da", isCut: true},
		{name: "SCTP", b: ip4(132, 0, nil, make([]byte, 12), data), header: 12, body: "data"},
		{name: "DCCP", b: ip4(33, 0, nil, dccp), header: 16, body: "data"},
		{name: "DCCP, no header of 8 bytes", b: ip4(33, 0, nil, []byte{0, 0, 0, 0, 2},
			make([]byte, 20)), header: -1},
		{name: "DCCP, ends in its header", b: ip4(33, 0, nil, dccp[:4]), header: -1},
		{name: "ICMP", b: ip4(1, 0, nil, icmp(8, 0, 1, data...)), header: 8, body: "data"},
		{name: "ICMPv6", b: ip6(58, icmp(128, 0, 1, data...)), header: 8, body: "data"},
		{name: "ICMP in IPv6", b: ip6(1, data), header: 0, body: "data"},
		{name: "ICMPv6 in IPv4", b: ip4(58, 0, nil, data), header: 0, body: "data"},
		{name: "IGMP", b: ip4(2, 0, nil, make([]byte, 8), data), header: 8, body: "data"},
		{name: "ESP", b: ip6(50, make([]byte, 8), data), header: 8, body: "data"},
		{name: "AH, IPv4", b: ip4(51, 0, nil, ah, data), header: 24, body: "data"},
		{name: "AH, ends in its header", b: ip4(51, 0, nil, ah[:23]), header: -1},
		{name: "AH, IPv6", b: ip6(51, ah, tcp(1, 2, data...)), header: 20, body: "data"},
		{name: "GRE", b: ip4(47, 0, nil, gre(0, 4), data), header: 4, body: "data"},
		{name: "GRE, checksum, key and sequence number", b: ip4(47, 0, nil, gre(0xb000, 16), data),
			header: 16, body: "data"},
		{name: "GRE, PPTP", b: ip4(47, 0, nil, gre(0x3081, 16), data), header: 16, body: "data"},
		{name: "GRE, source route", b: ip4(47, 0, nil, gre(0x4000, 16)), header: -1},
		{name: "GRE, ends in its header", b: ip4(47, 0, nil, gre(0x2000, 7)), header: -1},
		{name: "IP in IP", b: ip4(4, 0, nil, ip4(17, 0, nil, data)), header: 0,
			body: string(ip4(17, 0, nil, data))},
		{name: "mobility", b: ip6(135, ext(6), tcp(1, 2)), header: 0,
			body: string(cat(ext(6), tcp(1, 2)))},
		{name: "unknown", b: ip4(99, 0, nil, data), header: 0, body: "data"},
		{name: "no next header", b: ip6(59), header: 0},
		{name: "IPv4 header of 16 bytes", b: append([]byte{0x44}, ip4(17, 0, nil, udp(1, 2))[1:]...),
			header: -1},
		{name: "not IP", b: data, header: -1},
		{name: "empty", header: -1},
		{name: "nothing copied", cut: true, header: -1, isCut: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := FindTransport(tt.b, tt.cut)
			header := -1
			if ok {
				header = got.BodyOffset - got.TransportHeaderOffset
			}
			if body := string(tt.b[got.BodyOffset:got.BodyEnd]); header != tt.header || body != tt.body ||
				got.Cut != tt.isCut {
				t.Errorf("header of %d bytes, body %.40q, cut %v", header, body, got.Cut)
			}
		})
	}
}

func FuzzTransport(f *testing.F) {
	for _, p := range kernelPackets {
		f.Add(unhex(f, p.hex), false)
	}
	f.Fuzz(func(t *testing.T, b []byte, cut bool) {
		before := bytes.Clone(b)
		got, ok := FindTransport(b, cut)
		if !bytes.Equal(b, before) {
			t.Fatal("FindTransport wrote to the packet")
		}
		if got.BodyOffset < got.TransportHeaderOffset || got.BodyEnd < got.BodyOffset ||
			got.BodyEnd > got.Len {
			t.Fatalf("out of bounds: %+v", got)
		}
		l, err := Parse(b)
		if got.Layout != l {
			t.Fatalf("layout %+v, want %+v", got.Layout, l)
		}
		if ok && (err != nil || l.FragmentOffset > 0) || !ok && got.BodyEnd > got.BodyOffset &&
			l.FragmentOffset == 0 {
			t.Fatalf("%v, %v: %+v", ok, err, got)
		}
		// The ports and the rest of a flow are in a header that is there.
		flow, _ := FlowOf(b)
		if ok && flow.NoTransport {
			t.Fatalf("a header of %d bytes, but %+v", got.BodyOffset-got.TransportHeaderOffset, flow)
		}
		// What is no part of the packet does not matter, nor what is behind the body.
		if again, sure := FindTransport(b[:l.Len], cut); ok != sure || again != got {
			t.Fatalf("without padding %+v, want %+v", again, got)
		}
		if !ok {
			return
		}
		short, sure := FindTransport(b[:got.BodyEnd], cut)
		if !sure || short.BodyOffset != got.BodyOffset || short.BodyEnd != got.BodyEnd {
			t.Fatalf("without what is behind the body %+v, want %+v", short, got)
		}
	})
}
