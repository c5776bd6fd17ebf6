// SPDX-License-Identifier: GPL-2.0-or-later

package impair

import (
	"strings"
	"testing"

	"github.com/chifflier/nfqueue-go/rules"
)

func TestMirror(t *testing.T) {
	for text, want := range map[string]string{
		"out tcp dport 443":                                  "in tcp sport 443",
		"in ip6 udp daddr 2001:db8::/32 iif eth0":            "out ip6 udp saddr 2001:db8::/32 oif eth0",
		"forward ip saddr 192.0.2.0/24 iif eth0 oif eth1":    "forward ip daddr 192.0.2.0/24 iif eth1 oif eth0",
		"prerouting port 53 udp priority -150 mark 0x1/0xff": "postrouting udp port 53 priority -150 mark 0x1/0xff",
		"out tcp not dport 22,80 not daddr 192.0.2.1":        "in tcp not saddr 192.0.2.1 not sport 22,80",
		"in not iif lo not tcp":                              "out not oif lo not tcp",
		"out cgroup /a.slice/b":                              "in cgroup /a.slice/b",
		"forward udp not port 53":                            "error: matches both directions already",
		"out uid 5":                                          "error: \"out uid 5\": the sender is known at output and postrouting only",
		"out icmp":                                           "in icmp",
		"forward icmp":                                       "error: matches both directions already",
		"out icmp type echo-reply":                           "error: leave the type out",
		"forward udp port 53":                                "error: matches both directions already",
		"postrouting oif eth0":                               "prerouting iif eth0",
	} {
		r, err := rules.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Mirror([]rules.Rule{r})
		if wrong, ok := strings.CutPrefix(want, "error: "); ok {
			if err == nil || !strings.Contains(err.Error(), wrong) {
				t.Errorf("%s: %v, want %s", text, err, wrong)
			}
			continue
		}
		back, parseErr := rules.Parse(want)
		if parseErr != nil {
			t.Fatal(parseErr)
		}
		if err != nil || !got[0].Equal(back) {
			t.Errorf("%s: %v, %v, want %s", text, got, err, want)
		}
	}
}
