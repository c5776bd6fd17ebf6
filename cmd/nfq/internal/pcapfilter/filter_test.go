// SPDX-License-Identifier: GPL-2.0-or-later

package pcapfilter

import (
	"errors"
	"strings"
	"testing"
)

// TestArithmetic has what differs from libpcap: see testdata/README.md.
func TestArithmetic(t *testing.T) {
	packet := []byte{0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2}
	for filter, want := range map[string]bool{
		"7 % 4 = 3":                      true,
		"len / 3 % 4 = 2":                true, // 20 / 3 = 6
		"1 ^ 3 = 2":                      true,
		"1 | 2 ^ 3 & 1 << 1 + 1 * 2 = 3": true, // as in C
		"8 - 4 - 2 = 2":                  true,
		"0 - 1 = 0xffffffff":             true,
		"1 << 32 = 0":                    true,
		"ip[0] / (len - 20) = 0":         false, // division by zero never matches
		"not ip[0] / (len - 20) = 0":     false,
		"0 + tcp[0] >= 0":                false, // not TCP
		"not 0 + tcp[0] >= 0":            true,
		"ip[0xffffffff:4] = 0":           false,
		"not ip[18:4] = 0":               false, // cut
		"":                               true,
		"  ":                             true,
	} {
		f, err := Compile(filter)
		if err != nil {
			t.Error(err)
			continue
		}
		if got := f.Match(packet, len(packet)); got != want {
			t.Errorf("%q: %v, want %v", filter, got, want)
		}
	}
}

func TestErrors(t *testing.T) {
	for _, test := range []struct {
		filter string
		word   string // empty for the end
		why    string // a part of it
	}{
		{"tcp prt 80", "prt", "does not go with an address"},
		{"host", "", "expected an address"},
		{"host example.com", "example.com", "not looked up"},
		{"host 192.0.2.1 and", "", "expected what packets have to be"},
		{"host 192.0.2.1 bogus", "bogus", `expected "and", "or", or the end`},
		{"(tcp", "", `expected ")"`},
		{"tcp)", ")", `"and", "or", or the end`},
		{"port 65536", "65536", "from 0 to 65535"},
		{"port nonesuch-service", "nonesuch-service", "a name in /etc/services"},
		{"portrange 1-x", "1-x", "ports such as"},
		{"ip port 80", "80", "only tcp, udp and sctp"},
		{"icmp port 80", "80", "only tcp, udp and sctp"},
		{"tcp host 192.0.2.1", "192.0.2.1", "and host"},
		{"ip host 2001:db8::1", "2001:db8::1", "not an address of ip"},
		{"ip6 net 10.0.0.0/8", "10.0.0.0/8", "not an address of ip6"},
		{"net 192.0.2.1/24", "192.0.2.1/24", "write 192.0.2.0/24"},
		{"net 192.0.2.0/33", "192.0.2.0/33", "at most 32"},
		{"net 192.0.2.0 mask 255.0.255.0", "255.0.255.0", "ones followed by zeros"},
		{"net 192.0.2.0 mask x", "x", "expected a mask"},
		{"net example", "example", "expected a prefix"},
		{"proto 256", "256", "from 0 to 255"},
		{"tcp proto 6", "6", "only ip and ip6"},
		{"src proto 6", "6", "no src or dst"},
		{"ether host 02:00:00:00:00:01", "ether", "no link layer"},
		{"arp or vlan 5", "arp", "no link layer"},
		{"tcp and inbound", "inbound", "the hook of the rule"},
		{"ip6 protochain 6", "protochain", "not chased"},
		{"protochain 6", "protochain", "not chased"},
		{"tcp multicast", "tcp", "only ip and ip6"},
		{"less x", "x", "a length"},
		{"tcp[13", "", `expected "]"`},
		{"tcp[13:3] = 1", "3", "1, 2 or 4"},
		{"ether[0] = 1", "ether", "bytes can be had of"},
		{"tcp[13] & 2", "", "expected a comparison"},
		{"len > ", "", "expected a number"},
		{"len > tcp", "tcp", "expected a number"},
		{"len / 0 = 1", "0", "division by zero"},
		{"80", "80", "before a number"},
		{"tcp; port 80", ";", "nothing that starts like this"},
		{strings.Repeat("(", 300) + "tcp" + strings.Repeat(")", 300), "(", "nested too deeply"},
		{strings.Repeat("not ", 300) + "tcp", "not", "nested too deeply"},
	} {
		_, err := Compile(test.filter)
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%q: no error", test.filter)
			continue
		}
		if e.Word != test.word || !strings.Contains(e.Why, test.why) {
			t.Errorf("%q: error %v; want at %q: %s", test.filter, e, test.word, test.why)
		}
		if e.Word != "" && !strings.HasPrefix(test.filter[e.Pos:], e.Word) || e.Word == "" && e.Pos != len(test.filter) {
			t.Errorf("%q: position %d is not that of %q", test.filter, e.Pos, e.Word)
		}
	}
}
