// SPDX-License-Identifier: GPL-2.0-or-later

package rules_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/chifflier/nfqueue-go/rules"
)

func TestNFT(t *testing.T) {
	for _, c := range []struct {
		rule  string
		chain string
		rules []string
	}{
		{"out tcp dport 443", "output { type filter hook output priority 0; policy accept; }",
			[]string{"inet nfqueue output tcp dport 443 ip frag-off & 0x1fff == 0 queue num 0 bypass",
				"inet nfqueue output tcp dport 443 exthdr frag missing queue num 0 bypass",
				"inet nfqueue output tcp dport 443 frag frag-off 0 queue num 0 bypass"}},
		{"in iif eth0 nobypass", "input { type filter hook input priority 0; policy accept; }",
			[]string{`inet nfqueue input iifname "eth0" queue num 0`}},
		{"forward ip udp port 53 oif eth0 queue 7", "forward { type filter hook forward priority 0; policy accept; }", []string{
			`inet nfqueue forward oifname "eth0" meta nfproto ipv4 udp sport 53 ip frag-off & 0x1fff == 0 queue num 7 bypass`,
			`inet nfqueue forward oifname "eth0" meta nfproto ipv4 udp dport 53 ip frag-off & 0x1fff == 0 queue num 7 bypass`}},
		{"in ip6 icmpv6 type echo-request", "input { type filter hook input priority 0; policy accept; }",
			[]string{"inet nfqueue input meta nfproto ipv6 icmpv6 type echo-request exthdr frag missing queue num 0 bypass",
				"inet nfqueue input meta nfproto ipv6 icmpv6 type echo-request frag frag-off 0 queue num 0 bypass"}},
		{"in icmp", "input { type filter hook input priority 0; policy accept; }",
			[]string{"inet nfqueue input meta nfproto ipv4 meta l4proto icmp queue num 0 bypass"}},
		{"out tcp daddr 192.0.2.0/24 saddr 198.51.100.1 dport 80-90 sport 1024-65535 ct established,new mark 0x1/0xff queue 3-5 fanout nobypass",
			"output { type filter hook output priority 0; policy accept; }",
			[]string{"inet nfqueue output ip saddr 198.51.100.1 ip daddr 192.0.2.0/24 tcp sport 1024-65535 tcp dport 80-90 ip frag-off & 0x1fff == 0 " +
				"meta mark & 0xff == 0x1 ct state new,established queue num 3-5 fanout"}},
		{"prerouting bridge priority -300 daddr 2001:db8::/32 mark 2 proto 47 queue 0-1 fanout",
			"prerouting.-300 { type filter hook prerouting priority -300; policy accept; }",
			[]string{"bridge nfqueue prerouting.-300 ip6 daddr 2001:db8::/32 meta l4proto 47 meta mark 0x2 queue num 0-1 bypass,fanout"}},
		{"postrouting bridge saddr ::/0 priority 5",
			"postrouting.5 { type filter hook postrouting priority 5; policy accept; }",
			[]string{"bridge nfqueue postrouting.5 meta protocol ip6 queue num 0 bypass"}},
		{"out uid 1000 gid 0 mark 1", "output { type filter hook output priority 0; policy accept; }",
			[]string{"inet nfqueue output meta skuid 1000 meta skgid 0 meta mark 0x1 queue num 0 bypass"}},
		{"in ctmark 0x1/0xff packets 10 bytes 4096",
			"input { type filter hook input priority 0; policy accept; }",
			[]string{"inet nfqueue input ct mark & 0xff == 0x1 ct packets <= 10 ct bytes <= 4096 queue num 0 bypass"}},
		{"out ip tcp dport 80,443,8000-8080 not saddr 10.0.0.0/8,192.0.2.1 not sport 22 not mark 1/3 " +
			"not ct new,related not ctmark 5 not uid 0",
			"output { type filter hook output priority 0; policy accept; }",
			[]string{"inet nfqueue output ip saddr != { 10.0.0.0/8, 192.0.2.1 } tcp sport != 22 " +
				"tcp dport { 80, 443, 8000-8080 } ip frag-off & 0x1fff == 0 meta skuid != 0 meta mark & 0x3 != 0x1 " +
				"ct state != { new, related } ct mark != 0x5 queue num 0 bypass"}},
		{"in ip udp not port 53 not iif lo", "input { type filter hook input priority 0; policy accept; }",
			[]string{`inet nfqueue input iifname != "lo" meta nfproto ipv4 udp sport & 0xffff != 53 udp dport != 53 ` +
				"ip frag-off & 0x1fff == 0 queue num 0 bypass"}},
		{"out not tcp cgroup /a.slice/b", "output { type filter hook output priority 0; policy accept; }",
			[]string{`inet nfqueue output meta l4proto != tcp socket cgroupv2 level 2 "a.slice/b" queue num 0 bypass`}},
		{"out saddr 0.0.0.0/0", "output { type filter hook output priority 0; policy accept; }",
			[]string{"inet nfqueue output meta nfproto ipv4 queue num 0 bypass"}},
	} {
		table, _, _ := strings.Cut(c.rules[0], " ")
		want := []string{"nft 'add table " + table + " nfqueue'", "nft 'add chain " + table +
			" nfqueue " + c.chain + "'"}
		for _, r := range c.rules {
			want = append(want, "nft 'add rule "+r+"'")
		}
		got, err := parse(t, c.rule).NFT()
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v\ngot  %q\nwant %q", c.rule, err, got, want)
		}
	}
	if _, err := (rules.Rule{Hook: 9}).NFT(); err == nil {
		t.Error("an invalid rule was printed")
	}
}

// TestOffloadText: the commands carry out decisions as the installed rules do.
func TestOffloadText(t *testing.T) {
	r := parse(t, "out ip6 tcp dport 443 offload")
	for _, c := range []struct {
		print func() ([]string, error)
		want  string
	}{
		{r.NFT, `nft 'add table inet nfqueue'
nft 'add chain inet nfqueue output { type filter hook output priority 0; policy accept; }'
nft 'add chain inet nfqueue output.decided { type filter hook output priority 1; policy accept; }'
nft 'add rule inet nfqueue output tcp flags & (fin | syn | rst | ack) == syn meta mark & 0x30000000 == 0x0 ct state new,established ct status confirmed ct mark set ct mark & 0xcfffffff'
nft 'add rule inet nfqueue output ct mark & 0x30000000 == 0x10000000 meta mark & 0x30000000 == 0x0 accept'
nft 'add rule inet nfqueue output ct mark & 0x30000000 == 0x30000000 tcp flags & rst == rst accept'
nft 'add rule inet nfqueue output ct mark & 0x30000000 == 0x30000000 meta l4proto icmp ct state related accept'
nft 'add rule inet nfqueue output ct mark & 0x30000000 == 0x30000000 meta l4proto icmpv6 ct state related accept'
nft 'add rule inet nfqueue output meta mark & 0x30000000 == 0x10000000 ct mark set ct mark & 0xcfffffff | 0x10000000'
nft 'add rule inet nfqueue output meta mark & 0x30000000 == 0x20000000 ct mark set ct mark & 0xcfffffff | 0x20000000'
nft 'add rule inet nfqueue output meta mark & 0x30000000 == 0x30000000 ct mark set ct mark & 0xcfffffff | 0x30000000'
nft 'add rule inet nfqueue output meta mark & 0x30000000 == 0x10000000 tcp flags & (fin | syn | rst | ack) == syn accept'
nft 'add rule inet nfqueue output meta mark & 0x30000000 == 0x10000000 meta mark set meta mark & 0xcfffffff accept'
nft 'add rule inet nfqueue output meta mark & 0x30000000 == 0x20000000 meta mark set meta mark & 0xcfffffff drop'
nft 'add rule inet nfqueue output meta mark & 0x30000000 == 0x30000000 meta l4proto tcp meta mark set meta mark & 0xcfffffff reject with tcp reset'
nft 'add rule inet nfqueue output meta mark & 0x30000000 == 0x30000000 meta mark set meta mark & 0xcfffffff reject with icmpx type port-unreachable'
nft 'add rule inet nfqueue output ct mark & 0x30000000 == 0x20000000 drop'
nft 'add rule inet nfqueue output ct mark & 0x30000000 == 0x30000000 meta l4proto tcp reject with tcp reset'
nft 'add rule inet nfqueue output ct mark & 0x30000000 == 0x30000000 reject with icmpx type port-unreachable'
nft 'add rule inet nfqueue output.decided tcp flags & (fin | syn | rst | ack) == syn meta mark & 0x30000000 == 0x0 ct state new,established ct status confirmed ct mark set ct mark & 0xcfffffff'
nft 'add rule inet nfqueue output.decided meta mark & 0x30000000 == 0x10000000 meta mark set meta mark & 0xcfffffff accept'
nft 'add rule inet nfqueue output.decided ct mark & 0x20000000 == 0x0 accept'
nft 'add rule inet nfqueue output.decided ct mark & 0x30000000 == 0x30000000 tcp flags & rst == rst accept'
nft 'add rule inet nfqueue output.decided ct mark & 0x30000000 == 0x30000000 meta l4proto icmp ct state related accept'
nft 'add rule inet nfqueue output.decided ct mark & 0x30000000 == 0x30000000 meta l4proto icmpv6 ct state related accept'
nft 'add rule inet nfqueue output.decided ct mark & 0x30000000 == 0x20000000 drop'
nft 'add rule inet nfqueue output.decided ct mark & 0x30000000 == 0x30000000 meta l4proto tcp reject with tcp reset'
nft 'add rule inet nfqueue output.decided ct mark & 0x30000000 == 0x30000000 reject with icmpx type port-unreachable'
nft 'add rule inet nfqueue output meta nfproto ipv6 tcp dport 443 exthdr frag missing ct state invalid tcp flags & (fin | syn | rst | ack) == syn drop'
nft 'add rule inet nfqueue output meta nfproto ipv6 tcp dport 443 frag frag-off 0 ct state invalid tcp flags & (fin | syn | rst | ack) == syn drop'
nft 'add rule inet nfqueue output meta nfproto ipv6 tcp dport 443 exthdr frag missing queue num 0 bypass'
nft 'add rule inet nfqueue output meta nfproto ipv6 tcp dport 443 frag frag-off 0 queue num 0 bypass'`},
		{r.IPTables, `ip6tables -t filter -A OUTPUT -p tcp --syn -m conntrack --ctstate NEW,ESTABLISHED --ctstatus CONFIRMED -m mark --mark 0x0/0x30000000 -j CONNMARK --set-xmark 0x0/0x30000000
ip6tables -t filter -A OUTPUT -m connmark --mark 0x10000000/0x30000000 -m mark --mark 0x0/0x30000000 -j ACCEPT
ip6tables -t filter -A OUTPUT -m connmark --mark 0x30000000/0x30000000 -p tcp -m tcp --tcp-flags RST RST -j ACCEPT
ip6tables -t filter -A OUTPUT -m connmark --mark 0x30000000/0x30000000 -p ipv6-icmp -m conntrack --ctstate RELATED -j ACCEPT
ip6tables -t filter -A OUTPUT -m mark '!' --mark 0x0/0x30000000 -j CONNMARK --save-mark --nfmask 0x30000000 --ctmask 0x30000000
ip6tables -t filter -A OUTPUT -m mark --mark 0x10000000/0x30000000 -j ACCEPT
ip6tables -t filter -A OUTPUT -m mark --mark 0x20000000/0x30000000 -j DROP
ip6tables -t filter -A OUTPUT -m mark --mark 0x30000000/0x30000000 -p tcp -j REJECT --reject-with tcp-reset
ip6tables -t filter -A OUTPUT -m mark --mark 0x30000000/0x30000000 -j REJECT --reject-with icmp6-port-unreachable
ip6tables -t filter -A OUTPUT -m connmark --mark 0x20000000/0x30000000 -j DROP
ip6tables -t filter -A OUTPUT -m connmark --mark 0x30000000/0x30000000 -p tcp -j REJECT --reject-with tcp-reset
ip6tables -t filter -A OUTPUT -m connmark --mark 0x30000000/0x30000000 -j REJECT --reject-with icmp6-port-unreachable
ip6tables -t security -A OUTPUT -p tcp --syn -m conntrack --ctstate NEW,ESTABLISHED --ctstatus CONFIRMED -m mark --mark 0x0/0x30000000 -j CONNMARK --set-xmark 0x0/0x30000000
ip6tables -t filter -A OUTPUT -p tcp -m multiport --dports 443 -m conntrack --ctstate INVALID -m tcp --syn -j DROP
ip6tables -t filter -A OUTPUT -p tcp -m multiport --dports 443 -j NFQUEUE --queue-num 0 --queue-bypass`},
	} {
		lines, err := c.print()
		if got := strings.Join(lines, "\n"); err != nil || got != c.want {
			t.Errorf("%v\n%s", err, got)
		}
	}
	const (
		undecide = " -p tcp --syn -m conntrack --ctstate NEW,ESTABLISHED --ctstatus CONFIRMED " +
			"-m mark --mark 0x0/0x3 -j CONNMARK --set-xmark 0x0/0x3"
		warning = "# no table of iptables is behind: a SYN that is queued behind packets of a " +
			"decided connection with the same ports may inherit the decision"
	)
	for rule, c := range map[string]struct {
		chain         string
		first, behind []string
	}{
		"prerouting ip offload 0x3 noreject priority -150": {"mangle -A PREROUTING", nil,
			[]string{"mangle -A INPUT", "mangle -A FORWARD"}},
		"in ip offload 0x3 noreject priority -150": {"mangle -A INPUT", nil,
			[]string{"filter -A INPUT"}},
		"in ip offload 0x3 noreject priority 50": {"security -A INPUT", []string{warning}, nil},
		"forward ip offload 0x3 noreject priority 50": {"security -A FORWARD", nil,
			[]string{"mangle -A POSTROUTING"}},
		"out ip offload 0x3 noreject priority 50": {"security -A OUTPUT", nil,
			[]string{"mangle -A POSTROUTING"}},
		"postrouting ip offload 0x3 noreject priority -150": {"mangle -A POSTROUTING",
			[]string{warning}, nil},
	} {
		want := c.first
		for _, s := range []string{
			undecide,
			" -m connmark --mark 0x1/0x3 -m mark --mark 0x0/0x3 -j ACCEPT",
			" -m mark '!' --mark 0x0/0x3 -j CONNMARK --save-mark --nfmask 0x3 --ctmask 0x3",
			" -m mark --mark 0x1/0x3 -j ACCEPT",
			" -m mark --mark 0x2/0x3 -j DROP",
			" -m connmark --mark 0x2/0x3 -j DROP",
		} {
			want = append(want, "iptables -t "+c.chain+s)
		}
		for _, at := range c.behind {
			want = append(want, "iptables -t "+at+undecide)
		}
		want = append(want,
			"iptables -t "+c.chain+" -p tcp -m conntrack --ctstate INVALID -m tcp --syn -j DROP",
			"iptables -t "+c.chain+" -j NFQUEUE --queue-num 0 --queue-bypass")
		if got, err := parse(t, rule).IPTables(); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v\n%s", rule, err, strings.Join(got, "\n"))
		}
	}
}

func TestIPTables(t *testing.T) {
	for _, c := range []struct {
		rule string
		want []string
	}{
		{"out tcp dport 443", []string{
			"iptables -t filter -A OUTPUT -p tcp -m multiport --dports 443 -j NFQUEUE --queue-num 0 --queue-bypass",
			"ip6tables -t filter -A OUTPUT -p tcp -m multiport --dports 443 -j NFQUEUE --queue-num 0 --queue-bypass"}},
		{"forward ip udp port 53 iif eth0 oif veth1+x nobypass queue 65535", []string{
			"iptables -t filter -A FORWARD -i eth0 -o 'veth1+x' -p udp -m multiport --ports 53 -j NFQUEUE --queue-num 65535"}},
		{"in ip6 icmpv6 type echo-request", []string{
			"ip6tables -t filter -A INPUT -p ipv6-icmp -m icmp6 --icmpv6-type 128 -j NFQUEUE --queue-num 0 --queue-bypass"}},
		{"in icmp type 0", []string{
			"iptables -t filter -A INPUT -p icmp -m icmp --icmp-type 0 -j NFQUEUE --queue-num 0 --queue-bypass"}},
		{"out tcp daddr 192.0.2.0/24 saddr 198.51.100.1 dport 80-90 sport 1024-65535 ct established,new mark 0x1/0xff queue 3-5 fanout nobypass", []string{
			"iptables -t filter -A OUTPUT -s 198.51.100.1 -d 192.0.2.0/24 -p tcp -m multiport --sports 1024:65535 -m multiport --dports 80:90 " +
				"-m mark --mark 0x1/0xff -m conntrack --ctstate NEW,ESTABLISHED -j NFQUEUE --queue-balance 3:5 --queue-cpu-fanout"}},
		{"prerouting sctp sport 1 dport 2-3 priority -300 daddr 2001:db8::1", []string{
			"ip6tables -t raw -A PREROUTING -d 2001:db8::1 -p sctp -m multiport --sports 1 -m multiport --dports 2:3 -j NFQUEUE --queue-num 0 --queue-bypass"}},
		{"postrouting saddr 0.0.0.0/0 priority -150 oif eth0 proto 47 mark 7", []string{
			"iptables -t mangle -A POSTROUTING -o eth0 -p 47 -m mark --mark 0x7 -j NFQUEUE --queue-num 0 --queue-bypass"}},
		{"in ip ctmark 5 packets 10 bytes 4096", []string{
			"iptables -t filter -A INPUT -m connmark --mark 0x5 -m connbytes --connbytes 0:10 --connbytes-dir both --connbytes-mode packets " +
				"-m connbytes --connbytes 0:4096 --connbytes-dir both --connbytes-mode bytes -j NFQUEUE --queue-num 0 --queue-bypass"}},
		{"out ip uid 1000 gid 0 mark 1", []string{
			"iptables -t filter -A OUTPUT -m owner --uid-owner 1000 --gid-owner 0 -m mark --mark 0x1 -j NFQUEUE --queue-num 0 --queue-bypass"}},
		{"out ip tcp dport 80,443,8000-8080 not saddr 10.0.0.0/8,192.0.2.1 not sport 22 not mark 1/3 " +
			"not ct new,related not ctmark 5 not uid 0 gid 7", []string{
			"iptables -t filter -A OUTPUT -m iprange '!' --src-range 10.0.0.0-10.255.255.255 " +
				"-m iprange '!' --src-range 192.0.2.1-192.0.2.1 -p tcp -m multiport '!' --sports 22 -m multiport --dports 80,443,8000:8080 " +
				"-m owner '!' --uid-owner 0 --gid-owner 7 -m mark '!' --mark 0x1/0x3 " +
				"-m conntrack '!' --ctstate NEW,RELATED -m connmark '!' --mark 0x5 -j NFQUEUE --queue-num 0 --queue-bypass"}},
		{"in ip not icmp not iif lo not daddr 10.0.0.0/8", []string{
			"iptables -t filter -A INPUT '!' -i lo '!' -d 10.0.0.0/8 '!' -p icmp -j NFQUEUE --queue-num 0 --queue-bypass"}},
		{"out ip udp saddr 10.0.0.0/8,192.0.2.1 not port 1-2,4,6,8,10,12,14,16,18,20,22,24,26,28,30 not cgroup a", []string{
			"iptables -t filter -A OUTPUT -s 10.0.0.0/8,192.0.2.1 -p udp -m multiport '!' --ports 1:2,4,6,8,10,12,14,16,18,20,22,24,26,28 " +
				"-m multiport '!' --ports 30 -m cgroup '!' --path /a -j NFQUEUE --queue-num 0 --queue-bypass"}},
		{"in ip udp dport 2,4,6,8,10,12,14,16,18,20,22,24,26,28,30,32", []string{
			"iptables -t filter -A INPUT -p udp -m multiport --dports 2,4,6,8,10,12,14,16,18,20,22,24,26,28,30 " +
				"-j NFQUEUE --queue-num 0 --queue-bypass",
			"iptables -t filter -A INPUT -p udp -m multiport --dports 32 -j NFQUEUE --queue-num 0 --queue-bypass"}},
		// What ip6tables does not take for a protocol.
		{"in proto 60", []string{
			"iptables -t filter -A INPUT -p 60 -j NFQUEUE --queue-num 0 --queue-bypass",
		}},
		{"in proto 51", []string{
			"iptables -t filter -A INPUT -p 51 -j NFQUEUE --queue-num 0 --queue-bypass",
		}},
		{"in priority 50 ip", []string{
			"iptables -t security -A INPUT -j NFQUEUE --queue-num 0 --queue-bypass",
		}},
	} {
		got, err := parse(t, c.rule).IPTables()
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%q: %v\ngot  %q\nwant %q", c.rule, err, got, c.want)
		}
	}
}

// What iptables cannot say.
func TestIPTablesLacks(t *testing.T) {
	for rule, field := range map[string]string{
		"forward bridge priority -200":       "Family",
		"prerouting":                         "Priority",
		"in priority -300":                   "Priority",
		"forward priority 1":                 "Priority",
		"postrouting priority -150 iif eth0": "InDevName",
		"in iif ppp+":                        "InDevName",
		"out offload priority -150":          "Offload",
		"in icmp type 255":                   "ICMPType",
		"in icmpv6 type 255":                 "ICMPType",
		"in ip6 proto 51":                    "Protocol",
		"in not proto 60":                    "Protocol",
		"in cgroup /a":                       "Cgroup",
		"out oif ppp+":                       "OutDevName",
	} {
		got, err := parse(t, rule).IPTables()
		var f *rules.FieldError
		if !errors.As(err, &f) || f.Field != field {
			t.Errorf("%q: %q, %v, want an error of %s", rule, got, err, field)
		}
	}
}
