// SPDX-License-Identifier: GPL-2.0-or-later

package rules_test

import (
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/rules"
)

const all = ^uint32(0) // mask

// parse returns a rule of a test.
func parse(t testing.TB, text string) rules.Rule {
	t.Helper()
	r, err := rules.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// prefixes returns those of a test.
func prefixes(texts ...string) (all []netip.Prefix) {
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		text      string
		want      rules.Rule
		canonical string // if it is not text
	}{
		{"out", rules.Rule{Hook: nfqueue.HookOutput}, ""},
		{"output", rules.Rule{Hook: nfqueue.HookOutput}, "out"},
		{"input", rules.Rule{Hook: nfqueue.HookInput}, "in"},
		{"inet bypass queue 0 priority 0 prerouting", rules.Rule{}, "prerouting"},
		{
			"out tcp dport 443",
			rules.Rule{Hook: nfqueue.HookOutput, Protocol: rules.TCP,
				DstPort: rules.Ports{{First: 443}}},
			"",
		},
		{"forward udp port 53 iif eth0", rules.Rule{Hook: nfqueue.HookForward, Protocol: rules.UDP,
			Port: rules.Ports{{First: 53}}, InDevName: "eth0"}, "forward udp iif eth0 port 53"},
		{"in ip6 icmpv6 type echo-request", rules.Rule{
			Hook: nfqueue.HookInput, Family: nfqueue.FamilyIPv6,
			Protocol: rules.ICMPv6, ICMPType: rules.NewICMPType(128)}, ""},
		{
			"type 0 icmp in",
			rules.Rule{Hook: nfqueue.HookInput, Protocol: rules.ICMP,
				ICMPType: rules.NewICMPType(0)},
			"in icmp type echo-reply",
		},
		{
			"in icmp type 77",
			rules.Rule{Hook: nfqueue.HookInput, Protocol: rules.ICMP,
				ICMPType: rules.NewICMPType(77)},
			"",
		},
		{"out tcp daddr 192.0.2.0/24 dport 80-90 ct new mark 0x1/0xff queue 3-5 fanout " +
			"nobypass", rules.Rule{
			Hook: nfqueue.HookOutput, Protocol: rules.TCP,
			Dst:     prefixes("192.0.2.0/24"),
			DstPort: rules.Ports{{First: 80, Last: 90}}, CTState: rules.CTNew,
			Mark: 1, MarkMask: 0xff,
			Queue: 3, Queues: 3, Fanout: true, NoBypass: true,
		}, "out tcp daddr 192.0.2.0/24 dport 80-90 mark 0x1/0xff ct new queue 3-5 fanout nobypass"},
		{" \tnobypass\n proto 6   postrouting oif a.b saddr 2001:DB8::1/64 " +
			"priority -300", rules.Rule{
			Hook: nfqueue.HookPostrouting, Protocol: rules.TCP, OutDevName: "a.b",
			Src:      prefixes("2001:db8::/64"),
			Priority: -300, NoBypass: true,
		}, "postrouting tcp oif a.b saddr 2001:db8::/64 priority -300 nobypass"},
		{"in iif in oif", rules.Rule{}, "error"},
		{"in iif in", rules.Rule{Hook: nfqueue.HookInput, InDevName: "in"}, ""},
		{
			"in proto 47 saddr 192.0.2.1",
			rules.Rule{Hook: nfqueue.HookInput, Protocol: 47,
				Src: prefixes("192.0.2.1/32")},
			"",
		},
		{"in mark 10", rules.Rule{Hook: nfqueue.HookInput, Mark: 10, MarkMask: all}, "in mark 0xa"},
		{"in mark 0", rules.Rule{Hook: nfqueue.HookInput, MarkMask: all}, "in mark 0x0"},
		{
			"out ctmark 7 offload",
			rules.Rule{Hook: nfqueue.HookOutput, CTMark: 7, CTMarkMask: all,
				Offload: rules.DefaultOffload},
			"out ctmark 0x7 offload",
		},
		{"out noreject offload 768 packets 10", rules.Rule{
			Hook: nfqueue.HookOutput, FirstPackets: 10,
			Offload: rules.Offload{Mask: 0x300, NoReject: true},
		}, "out packets 10 offload 0x300 noreject"},
		{"offload forward bytes 4096 ctmark 0x10/0x30", rules.Rule{
			Hook: nfqueue.HookForward, FirstBytes: 4096,
			CTMark: 0x10, CTMarkMask: 0x30, Offload: rules.DefaultOffload,
		}, "forward ctmark 0x10/0x30 bytes 4096 offload"},
		{
			"out gid 5 uid 0",
			rules.Rule{Hook: nfqueue.HookOutput, UID: rules.NewOwnerID(0),
				GID: rules.NewOwnerID(5)},
			"out uid 0 gid 5",
		},
		{
			"in ct related,established,established",
			rules.Rule{Hook: nfqueue.HookInput, CTState: rules.CTEstablished | rules.CTRelated},
			"in ct established,related",
		},
		{"in queue 7-7", rules.Rule{Hook: nfqueue.HookInput, Queue: 7}, "in queue 7"},
		{"in udp sport 0-5 dport 0080", rules.Rule{Hook: nfqueue.HookInput, Protocol: rules.UDP,
			SrcPort: rules.Ports{{Last: 5}}, DstPort: rules.Ports{{First: 80}},
		}, "in udp sport 0-5 dport 80"},
		{"out tcp dport 443,80,81-90,85", rules.Rule{Hook: nfqueue.HookOutput,
			Protocol: rules.TCP, DstPort: rules.Ports{{First: 80, Last: 90}, {First: 443}},
		}, "out tcp dport 80-90,443"},
		{"in udp sport 65535,0", rules.Rule{Hook: nfqueue.HookInput, Protocol: rules.UDP,
			SrcPort: rules.Ports{{}, {First: 65535}}}, "in udp sport 0,65535"},
		{"in udp sport { 53, 5353 } ! daddr {10.0.0.0/8}", rules.Rule{Hook: nfqueue.HookInput,
			Protocol: rules.UDP, SrcPort: rules.Ports{{First: 53}, {First: 5353}},
			Dst: prefixes("10.0.0.0/8"), Not: rules.MatchDst,
		}, "in udp not daddr 10.0.0.0/8 sport 53,5353"},
		{"in saddr 192.168.0.0/16,10.1.2.3/8,10.9.0.0/16,192.0.2.1", rules.Rule{
			Hook: nfqueue.HookInput, Src: prefixes("10.0.0.0/8", "192.0.2.1/32", "192.168.0.0/16"),
		}, "in saddr 10.0.0.0/8,192.0.2.1,192.168.0.0/16"},
		{"out not tcp not iif", rules.Rule{}, "error"},
		{"out not tcp", rules.Rule{Hook: nfqueue.HookOutput, Protocol: rules.TCP,
			Not: rules.MatchProtocol}, ""},
		{"in ip6 not icmp", rules.Rule{Hook: nfqueue.HookInput, Family: nfqueue.FamilyIPv6,
			Protocol: rules.ICMP, Not: rules.MatchProtocol}, "in ip6 not icmp"},
		{"out udp dport != 53 not uid 0 cgroup system.slice//a@b.service/", rules.Rule{
			Hook: nfqueue.HookOutput, Protocol: rules.UDP, DstPort: rules.Ports{{First: 53}},
			UID: rules.NewOwnerID(0), Cgroup: "/system.slice/a@b.service",
			Not: rules.MatchDstPort | rules.MatchUID,
		}, "out udp not dport 53 not uid 0 cgroup /system.slice/a@b.service"},
		{"postrouting tcp not sport 1 not oif a not proto 5", rules.Rule{}, "error"},
		{"forward not proto 47 not iif a not oif b not mark 1/3 not ct new not ctmark 2",
			rules.Rule{Hook: nfqueue.HookForward, Protocol: 47, InDevName: "a", OutDevName: "b",
				Mark: 1, MarkMask: 3, CTState: rules.CTNew, CTMark: 2, CTMarkMask: all,
				Not: rules.MatchProtocol | rules.MatchInDevName | rules.MatchOutDevName |
					rules.MatchMark | rules.MatchCTState | rules.MatchCTMark,
			}, "forward not proto 47 not iif a not oif b not mark 0x1/0x3 not ct new not ctmark 0x2"},
		{"in not saddr 0.0.0.0/1,128.0.0.0/2", rules.Rule{Hook: nfqueue.HookInput,
			Src: prefixes("0.0.0.0/1", "128.0.0.0/2"), Not: rules.MatchSrc}, ""},
		{"in not saddr 0.0.0.0/2,128.0.0.0/1", rules.Rule{Hook: nfqueue.HookInput,
			Src: prefixes("0.0.0.0/2", "128.0.0.0/1"), Not: rules.MatchSrc}, ""},
		{"in not saddr ::1,8000::/1", rules.Rule{Hook: nfqueue.HookInput,
			Src: prefixes("::1/128", "8000::/1"), Not: rules.MatchSrc}, ""},
		{"in not ct new,established,related,invalid", rules.Rule{Hook: nfqueue.HookInput,
			CTState: rules.CTNew | rules.CTEstablished | rules.CTRelated | rules.CTInvalid,
			Not:     rules.MatchCTState}, ""},
		{"forward bridge saddr 0.0.0.0/0 priority -200", rules.Rule{
			Hook: nfqueue.HookForward, Priority: -200, Family: nfqueue.FamilyBridge,
			Src: prefixes("0.0.0.0/0"),
		}, ""},
	} {
		if c.canonical == "error" {
			if _, err := rules.Parse(c.text); err == nil {
				t.Errorf("%q was parsed", c.text)
			}
			continue
		}
		got, err := rules.Parse(c.text)
		if err != nil {
			t.Error(err)
			continue
		}
		c.want.Queues = max(c.want.Queues, 1)
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q:\ngot  %+v\nwant %+v", c.text, got, c.want)
		}
		if c.canonical == "" {
			c.canonical = c.text
		}
		if got.String() != c.canonical {
			t.Errorf("%q is printed %q, want %q", c.text, got, c.canonical)
		}
	}
}

// TestStringMeansTheSame: several rules of one meaning have one text.
func TestStringMeansTheSame(t *testing.T) {
	for _, r := range []rules.Rule{
		{
			Protocol: rules.TCP, DstPort: rules.Ports{{First: 80}}, Mark: 1,
			Src: prefixes("192.0.2.7/24"),
		},
		{
			Protocol: 6, DstPort: rules.Ports{{First: 80, Last: 80}}, Mark: 1, MarkMask: all,
			Queues: 1, Src: prefixes("192.0.2.0/24"),
		},
	} {
		want := "prerouting tcp saddr 192.0.2.0/24 dport 80 mark 0x1"
		if got := r.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for _, c := range []struct {
		text, word string
		pos        int
		says       string
	}{
		{"", "", 0, "expected a hook"},
		{"tcp dport 443", "", 13, "expected a hook"},
		{"out tcp dprt 443", "dprt", 8, `did you mean "dport"?`},
		{"outptu tcp", "outptu", 0, `did you mean "output"?`},
		{"out ucp", "ucp", 4, `did you mean`},
		{"out Sport 5", "Sport", 4, `words are in small letters`},
		{"out ofload", "ofload", 4, `did you mean "offload"?`},
		{"out nonsense", "nonsense", 4, "expected a hook"},
		{"OUTPUT tcp", "OUTPUT", 0, `words are in small letters: "output"`},
		{"out TCP", "TCP", 4, `words are in small letters: "tcp"`},
		{"out BAD", "BAD", 4, "expected a hook"},
		{"out tcp dport", "", 13, "expected a port"},
		{"out tcp dport 443x", "443x", 14, "expected a port"},
		{"out tcp dport 65536", "65536", 14, "expected a port"},
		{"out tcp dport 90-80", "90-80", 14, "ends before"},
		{"out tcp dport 80-", "80-", 14, "expected a port"},
		{"out in", "in", 4, `"out" (column 1) has already`},
		{"out tcp udp", "udp", 8, `"tcp" (column 5) has already`},
		{"out tcp proto 6", "6", 14, `"tcp" (column 5) has already`},
		{"out bypass nobypass", "nobypass", 11, "already"},
		{"out tcp dport 1 dport 2", "2", 22, "already"},
		{"out proto 0", "0", 10, "expected the number"},
		{"out proto tcp", "tcp", 10, "expected the number"},
		{"out saddr nowhere", "nowhere", 10, "expected an address"},
		{"out saddr fe80::1%eth0", "fe80::1%eth0", 10, "expected an address"},
		{"out saddr 192.0.2.0/33", "192.0.2.0/33", 10, "expected an address"},
		{"out mark 0x100000000", "0x100000000", 9, "expected a mark"},
		{"out mark 1/0", "1/0", 9, "expected a mark"},
		{"out mark -1", "-1", 9, "expected a mark"},
		{"out ct new,old", "new,old", 7, "expected connection tracking states"},
		{"out ct", "", 6, "expected connection tracking states"},
		{"out queue", "", 9, "expected the number of a queue"},
		{"out queue 65536", "65536", 10, "expected the number of a queue"},
		{"out queue 5-3", "5-3", 10, "ends before"},
		{"out queue 0-65535", "0-65535", 10, "at most 65535"},
		{"out priority high", "high", 13, "expected a priority"},
		{"out iif", "", 7, "expected the name"},
		{"out icmp type echo", "echo", 14, "expected a type of icmp"},
		{"out icmp type packet-too-big", "packet-too-big", 14, "expected a type of icmp"},
		{"out icmp type 256", "256", 14, "expected a type of icmp"},
		{"out type", "", 8, "expected an ICMP"},
		// What does not fit together is found by Validate.
		{"out type 8 tcp", "8", 9, "needs one of the protocols"},
		{"out iif eth0", "eth0", 8, "did not come in"},
		{"in udp oif eth0", "eth0", 11, "leaves"},
		{"dport 80 out", "80", 6, "(column 7): ports need"},
		{"icmp out ip6", "icmp", 0, "not carried"},
		{"out icmpv6 saddr 192.0.2.1", "icmpv6", 4, "not carried"},
		{"out saddr 192.0.2.1 daddr 2001:db8::1", "2001:db8::1", 26, "no address of the family ip"},
		{"out mark 0x10/0xf", "0x10/0xf", 9, "no mark matches"},
		{"prerouting ct new priority -200", "new", 14, "not known yet"},
		{"out offload 0x1ffffffff", "0x1ffffffff", 12, "expected a mask"},
		{"out offload 0x7", "offload", 4, "two bits"},
		{"out noreject", "noreject", 4, "nothing to offload; add the word offload"},
		{"postrouting offload", "offload", 12, "rejects nothing at postrouting"},
		{"forward bridge offload priority -200", "offload", 15, "bridged"},
		{"out offload priority -300", "offload", 4, "not known yet"},
		{"out ctmark 1 priority -300", "1", 11, "not known yet"},
		{"out packets 1 priority -300", "1", 12, "not known yet"},
		{"out packets 0", "0", 12, "expected how many"},
		{"out bytes", "", 9, "expected how many"},
		{"out offload priority 2147483647", "offload", 4, "no room"},
		{"in ip6 proto 60", "60", 13, "no packet matches"},
		{"in ip6 not proto 60", "60", 17, "every packet matches"},
		{"in uid 5", "5", 7, "at output and postrouting only"},
		{"out uid root", "root", 8, "expected the number"},
		{"out not gid 4294967295", "4294967295", 12, "no user or group"},
		{"out fanout", "fanout", 4, "only one"},
		{"out udp port 53 dport 53", "53", 13, "cannot be combined"},
		{"in iif 0123456789abcdef", "0123456789abcdef", 7, "15 bytes"},
		{"forward bridge", "", 14, "at the end: priority: at priority 0 of forward"},
		{"prerouting bridge priority -1", "-1", 27, "br_netfilter"},
		{"in iif eth*", "eth*", 7, "patterns"},
		{"out tcp dport 80,", "80,", 14, "expected a port"},
		{"out tcp dport 80 443", "443", 17, "write a word such as dport"},
		{"out tcp 80-90", "80-90", 8, "write a word such as dport"},
		{"out 192.0.2.0/24", "192.0.2.0/24", 4, "write saddr or daddr"},
		{"out tcp and dport 443", "and", 8, `leave "and" out`},
		{"out tcp && dport 443", "&&", 8, `leave "&&" out`},
		{"out tcp dport 80 or dport 443", "or", 17, "dport 80,443"},
		{"out tcp || udp", "||", 8, "another rule"},
		{"out host 192.0.2.1", "host", 4, "write saddr ADDRESS or daddr"},
		{"out not net 192.0.2.0/24", "net", 8, "write saddr ADDRESS/BITS"},
		{"in src port 53", "src", 3, "sport PORT"},
		{"in dst 192.0.2.1", "dst", 3, "daddr ADDRESS"},
		{"in tcp portrange 1-1023", "portrange", 7, "write port PORT-PORT"},
		{"in iifname eth0", "iifname", 3, "write iif NAME"},
		{"out tcp dport {80,443", "{80,443", 14, "expected a port"},
		{"out tcp dport 80,90-85", "80,90-85", 14, "90-85 ends before"},
		{"out saddr 10.0.0.0/8,fe80::/10", "10.0.0.0/8,fe80::/10", 10, "no address of the family ip"},
		{"out not", "", 7, "what can be negated"},
		{"not out", "out", 4, "what can be negated"},
		{"out not not tcp", "not", 8, "what can be negated"},
		{"out not packets 5", "packets", 8, "what can be negated"},
		{"out not dprot 5", "dprot", 8, `did you mean "dport"?`},
		{"out not tcp dport 80", "80", 18, "negate the ports only"},
		{"out not icmp type 8", "8", 18, "negate the type only"},
		{"out tcp not dport != 5", "!=", 18, "negated twice"},
		{"out tcp not dport 0-65535", "0-65535", 18, "no packet matches"},
		{"out not saddr ::/0", "::/0", 14, "no packet matches"},
		{"out not saddr 0.0.0.0/1,128.0.0.0/1", "0.0.0.0/1,128.0.0.0/1", 14, "no packet matches"},
		{"out daddr != 0.0.0.0/2,128.0.0.0/1,64.0.0.0/2", "0.0.0.0/2,128.0.0.0/1,64.0.0.0/2", 13,
			"no packet matches"},
		{"out not saddr 8000::/1,::/1", "8000::/1,::/1", 14, "no packet matches"},
		{"out tcp not dport 0-80,81-65535", "0-80,81-65535", 18, "no packet matches"},
		{"out not ct new,established,related,invalid,untracked",
			"new,established,related,invalid,untracked", 11, "no packet matches"},
		{"in iif !=", "", 9, "expected the name"},
		{"forward cgroup a", "a", 15, "of no socket"},
		{"postrouting cgroup /a", "/a", 19, "use out"},
		{"out cgroup", "", 10, "expected the path"},
		{"out cgroup /", "/", 11, "name one below"},
		{"out cgroup /sys/fs/cgroup/a.slice", "/sys/fs/cgroup/a.slice", 11, ": /a.slice"},
	} {
		_, err := rules.Parse(c.text)
		var p *rules.ParseError
		if !errors.As(err, &p) {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		if p.Word != c.word || p.Pos != c.pos || p.Text != c.text ||
			!strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: at byte %d: %v\nwant %q at byte %d, and %q",
				c.text, p.Pos, err, c.word, c.pos, c.says)
		}
		if strings.Contains(err.Error(), "Rule.") || strings.Contains(err.Error(), "Offload") {
			t.Errorf("%q: the error has names of Go: %v", c.text, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"out tcp dport 443", "forward udp port 53 iif eth0", "in ip6 icmpv6 type echo-request",
		"out tcp daddr 192.0.2.0/24 dport 80-90 ct new mark 0x1/0xff queue 3-5 fanout nobypass",
		"bridge forward proto 255 saddr ::ffff:192.0.2.1/120 oif a+b " +
			"priority -2147483648 queue 1-65535 bypass",
		"in icmp type 255 ct untracked,invalid,related,established",
		"inet in sctp sport 0-1 mark 0",
		"out not tcp ! saddr 10.0.0.0/8,192.0.2.0/24 cgroup != a/b",
		"in udp dport { 53, 80-90, 85-100 } not sport 1,3 not iif lo",
		"forward offload 0x300 noreject ctmark 1/3 packets 5 bytes 18446744073709551615",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := rules.Parse(s)
		if err != nil {
			var p *rules.ParseError
			if !errors.As(err, &p) || p.Pos < 0 || p.Pos > len(s) ||
				!strings.HasPrefix(s[p.Pos:], p.Word) {
				t.Fatalf("%#v", err)
			}
			return
		}
		again, err := rules.Parse(r.String())
		if err != nil || !reflect.DeepEqual(again, r) {
			t.Fatalf("%q\nis %+v,\nprinted %q,\nwhich is %+v (%v)", s, r, r, again, err)
		}
		if err := r.Validate(); err != nil || !r.Equal(again) {
			t.Fatal(r, again, err)
		}
		if _, err := r.NFT(); err != nil {
			t.Fatal(err)
		}
		_, err = r.IPTables()
		var f *rules.FieldError
		if err != nil && !errors.As(err, &f) {
			t.Fatal(err)
		}
	})
}
