// SPDX-License-Identifier: GPL-2.0-or-later

package pcapfilter

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
)

// udp4 is a packet of 20 bytes on the wire.
var udp4 = []byte{0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2}

func TestMatch(t *testing.T) {
	for filter, want := range map[string]bool{
		"":                           true,
		"  ":                         true,
		"7 % 4 = 3":                  true,
		"len / 3 % 4 = 6":            true, // 20 / (3 % 4)
		"len % 4 + 6 = 0":            true, // 20 % (4 + 6)
		"4 - 2 ^ 1 = 1":              true, // 4 - (2 ^ 1)
		"1 | 2 & 1 << 1 + 1 * 2 = 1": true, // as in C
		"8 - 4 - 2 = 2":              true,
		"- 1 = 0xffffffff":           true,
		"1 << len - 20 = 1":          true,
		"1 << (len + 12) = 0":        true,
		"len/10>1":                   true,
		"ip[0] / (len - 20) = 0":     false, // a division by zero never matches
		"not ip[0] / (len - 20) = 0": false,
		"tcp[0] >= 0":                false, // not TCP
		"not tcp[0] >= 0":            true,
		"0 + udp[0] = 0":             false, // no check of the protocol, but no such byte
		"not 0 + udp[0] = 0":         false,
		"0 + tcp[0 - 1] = 2":         true, // the byte before the header
		"ip6[0 - 1] = 0":             false,
		"not ip[18:4] = 0":           false, // cut
		"byte 9 = 17":                true,
		"byte 0 > 0x44":              true,
		"not arp":                    true,
		"less 20 and greater 20":     true,
		"host 192.0.2":               true,
		"net 192.0.2.0":              false,
		"net 192 and not net 10":     true,
		"host example":               true,
		"ip host example":            true,
		"ip6 host example":           false,
		"src host example":           true,
	} {
		f, err := compile(filter, fakeNames)
		if err != nil {
			t.Error(err)
			continue
		}
		if got := f.Match(Packet{Data: udp4, Length: len(udp4)}); got != want {
			t.Errorf("%q: %v, want %v", filter, got, want)
		}
	}
}

// fakeNames knows one host and some services.
var fakeNames = names{
	hosts: func(host string) ([]netip.Addr, error) {
		if host != "example" {
			return nil, errors.New("not found")
		}
		linkLocal, mapped := netip.MustParseAddr("fe80::1%eth0"), netip.MustParseAddr("::ffff:192.0.2.1")
		return []netip.Addr{linkLocal, mapped}, nil
	},
	port: func(network, service string) (int, error) {
		port, ok := map[string]int{
			"tcp domain": 53, "udp domain": 53, "tcp ssh": 22, "udp ntp": 123,
			"tcp odd": 512, "udp odd": 513,
		}[network+" "+service]
		if !ok {
			return 0, errors.New("unknown")
		}
		return port, nil
	},
	protocol: func(protocol string) (uint8, bool) { return 47, protocol == "gre" },
}

// A service stands for the protocols that have it.
func TestServices(t *testing.T) {
	host := netip.MustParseAddr("192.0.2.1")
	udp := func(n uint16) Packet {
		b := nfqueuetest.UDP(netip.AddrPortFrom(host, 40000), netip.AddrPortFrom(host, n), nil)
		return Packet{Data: b, Length: len(b)}
	}
	as := func(p Packet, protocol byte) Packet {
		p.Data = append([]byte(nil), p.Data...)
		p.Data[ip4Protocol] = protocol
		return p
	}
	for _, c := range []struct {
		filter         string
		port           uint16
		tcp, udp, sctp bool
	}{
		{"port domain", 53, true, true, true}, // both have it, so any
		{"port 53", 53, true, true, true},
		{"udp port domain", 53, false, true, false},
		{"sctp port domain", 53, false, false, true},
		{"port ssh", 22, true, false, false},
		{"port ntp", 123, false, true, false},
		{"port odd", 512, true, false, false},
		{"portrange ssh-domain", 40, true, true, true},
		{"portrange ntp-ntp", 123, false, true, false},
		{"portrange 100-ntp", 120, true, true, true},
		{"dst portrange 010-9", 9, true, true, true}, // these are decimal
		{"port domain or ntp", 123, false, true, false},
	} {
		f, err := compile(c.filter, fakeNames)
		if err != nil {
			t.Error(err)
			continue
		}
		p := udp(c.port)
		tcp, udp, sctp := f.Match(as(p, protoTCP)), f.Match(p), f.Match(as(p, protoSCTP))
		if tcp != c.tcp || udp != c.udp || sctp != c.sctp {
			t.Errorf("%q: TCP %v, UDP %v, SCTP %v", c.filter, tcp, udp, sctp)
		}
	}
}

// The kernel tells what the bytes of a packet do not.
func TestOf(t *testing.T) {
	bridged := func(etherType uint16, payload []byte) nfqueuetest.Spec {
		return nfqueuetest.Spec{Family: nfqueue.FamilyBridge, EtherType: etherType, Payload: payload}
	}
	arp := []byte{
		0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 192, 0, 2, 2,
	}
	for _, c := range []struct {
		filter string
		spec   nfqueuetest.Spec
		want   bool
	}{
		{"outbound", nfqueuetest.Spec{Payload: udp4, Hook: nfqueue.HookOutput}, true},
		{"outbound", nfqueuetest.Spec{Payload: udp4, Hook: nfqueue.HookPostrouting}, true},
		{"outbound", nfqueuetest.Spec{Payload: udp4, Hook: nfqueue.HookForward}, false},
		{"inbound", nfqueuetest.Spec{Payload: udp4, Hook: nfqueue.HookInput}, true},
		{"inbound", nfqueuetest.Spec{Payload: udp4, Hook: nfqueue.HookPrerouting}, true},
		{"not inbound", nfqueuetest.Spec{Payload: udp4, Hook: nfqueue.HookForward}, false},
		{"len = 1500", nfqueuetest.Spec{Payload: udp4, FullLen: 1500}, true},
		{"arp", bridged(etherARP, arp), true},
		{"host 192.0.2.2", bridged(etherARP, arp), true},
		{"arp src host 192.0.2.2", bridged(etherARP, arp), false},
		{"ip", bridged(0x8847, udp4), false},
		{"udp", bridged(etherIP4, udp4), true},
	} {
		f, err := Compile(c.filter)
		if err != nil {
			t.Error(err)
			continue
		}
		var got bool
		nfqueuetest.Do(t, nfqueue.Config{}, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
			got = f.Match(Of(p))
			return nfqueue.Accept
		}), c.spec)
		if got != c.want {
			t.Errorf("%q with %+v: %v", c.filter, c.spec, got)
		}
	}
}

func TestErrors(t *testing.T) {
	for _, test := range []struct {
		filter string
		word   string // empty for the end
		why    string // a part of it
	}{
		{"tcp prt 80", "prt", `no such word; did you mean "port"?`},
		{"tcp an port 80", "an", `expected "and", "or", or the end`},
		{"prtrange 1-9", "prtrange", `did you mean "portrange"?`},
		{"tpc", "tpc", `did you mean "tcp"?`},
		{"not Udp", "Udp", `did you mean "udp"?`},
		{"ehter", "ehter", "expected what packets have to be"}, // not here anyway
		{"tcp dport 80", "dport", "write dst port"},
		{"saddr 192.0.2.1", "saddr", "write src host"},
		{"host", "", "expected an address"},
		{"host nonesuch", "nonesuch", "no host has this name: not found"},
		{"host 192.0.2.1 and", "", "expected what packets have to be"},
		{"tcp and", "", "expected what packets have to be"},
		{"192.0.2.1", "192.0.2.1", "expected what packets have to be"},
		{"tcp or 80", "80", "expected what packets have to be"},
		{"(tcp port 80) or 443", "443", "expected what packets have to be"},
		{"ip 192.0.2.1", "192.0.2.1", `expected "and", "or", or the end`},
		{"host 192.0.2.1 bogus", "bogus", `expected "and", "or", or the end`},
		{"(tcp", "", `expected ")"`},
		{"tcp)", ")", `"and", "or", or the end`},
		{"port 65536", "65536", "65535 at most"},
		{"port nonesuch-service", "nonesuch-service", "a name in /etc/services"},
		{"port 80-90", "80-90", "a name in /etc/services"},
		{"udp port ssh", "ssh", "another protocol than udp"},
		{"portrange 1-x", "1-x", "ports such as"},
		{"portrange 1-70000", "1-70000", "up to 65535"},
		{"portrange ssh", "ssh", "ports such as"},
		{"port (80 and tcp)", "tcp", "expected a port"},
		{"port ((80 or 443))", "(", "inner parentheses"},
		{"port ((80 or 443) or 22)", "(", "inner parentheses"},
		{"port len = 5", "len", "expected a port"},
		{"ip port 80", "80", "tcp, udp and sctp have"},
		{"icmp port 80", "80", "tcp, udp and sctp have"},
		{"tcp host 192.0.2.1", "192.0.2.1", "and host"},
		{"tcp host example", "example", "and host"},
		{"ip host 2001:db8::1", "2001:db8::1", "no address of ip"},
		{"ip6 net 10.0.0.0/8", "10.0.0.0", "no address of ip6"},
		{"arp host 2001:db8::1", "2001:db8::1", "and host"},
		{"net 192.0.2.1/24", "192.0.2.1", "write 192.0.2.0"},
		{"net 2001:db8::1/32", "2001:db8::1", "write 2001:db8::/32"},
		{"net 192.0.2.0/33", "33", "32 at most"},
		{"net 2001:db8::/129", "129", "128 at most"},
		{"net 192.0.2.0 mask x", "x", "expected a mask"},
		{"net 192.0.2.0 mask 255.255.256.0", "255.255.256.0", "expected a mask"},
		{"net 10/8", "10", "10.0.0.0/8"},
		{"host 192.0.2.0/24", "192.0.2.0", "write net before"},
		{"host 2001:db8::/32", "2001:db8::", "write net before"},
		{"host 192.0.2.256", "192.0.2.256", "255 at most"},
		{"net example", "example", "names of networks are not looked up"},
		{"port 192.0.2.1", "192.0.2.1", "expected a port"},
		{"port 2001:db8::1", "2001:db8::1", "expected a port"},
		{"host 2001:db8", ":", `expected "and", "or", or the end`},
		{"host 02:00:00:00:00:01", "02:00:00:00:00:01", "no link-layer addresses"},
		{"host 2001:db8:1", "2001:db8:1", "neither an IPv6 address nor"},
		{"proto 256", "256", "255 at most"},
		{"proto nonesuch", "nonesuch", "use its number"},
		{"proto tcp", "tcp", `write \tcp`},
		{"tcp proto 6", "6", "only ip and ip6"},
		{"src proto 6", "proto", "expected host, net"},
		{"ether host 02:00:00:00:00:01", "ether", "no link layer"},
		{"arp or vlan 5", "vlan", "no link layer"},
		{"tcp and ifindex 3", "ifindex", "iif or oif"},
		{"ip6 protochain 6", "protochain", "not followed"},
		{"protochain 6", "protochain", "not followed"},
		{"geneve", "geneve", "inside a tunnel"},
		{"gateway example", "gateway", "link-layer addresses"},
		{"tcp multicast", "multicast", "ip multicast or ip6 multicast"},
		{"broadcast", "broadcast", "no link layer"},
		{"ip broadcast", "broadcast", "netmask"},
		{"less x", "x", "a length"},
		{"byte 1 & 2", "&", "ip[0] & 1 != 0"},
		{"byte x = 2", "x", "expected a number"},
		{"tcp[13", "", `expected "]"`},
		{"tcp[13:3] = 1", "3", "1, 2 or 4"},
		{"ether[0] = 1", "ether", "no link layer"},
		{"ah[0] = 1", "ah", "have bytes"},
		{"tcp[13] & 2", "", "expected a comparison"},
		{"not tcp[13]", "", "expected a comparison"},
		{"len > ", "", "expected a number"},
		{"len > tcp", "tcp", "expected a number"},
		{"len-1 > 5", "len-1", "expected what packets"},
		{"len / 0 = 1", "0", "division by zero"},
		{"1 << 32 = 1", "32", "31 at most"},
		{"len = 4294967296", "4294967296", "32 bits"},
		{"len = 09", "09", "octal"},
		{"tcp; port 80", ";", "no word starts like this"},
		{strings.Repeat("(", 300) + "tcp" + strings.Repeat(")", 300), "(", "nested too deeply"},
		{strings.Repeat("not ", 300) + "tcp", "not", "nested too deeply"},
		{strings.Repeat("1 + (", 300) + "1" + strings.Repeat(")", 300) + " = 1", "1",
			"nested too deeply"},
	} {
		_, err := compile(test.filter, fakeNames)
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%q: no error", test.filter)
			continue
		}
		if e.Word != test.word || !strings.Contains(e.Why, test.why) {
			t.Errorf("%q: error %v; want at %q: %s", test.filter, e, test.word, test.why)
		}
		if e.Word != "" && !strings.HasPrefix(test.filter[e.Pos:], e.Word) ||
			e.Word == "" && e.Pos != len(test.filter) {
			t.Errorf("%q: position %d is not that of %q", test.filter, e.Pos, e.Word)
		}
	}
}
