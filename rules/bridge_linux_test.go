// SPDX-License-Identifier: GPL-2.0-or-later

//go:build kernelmatrix

package rules_test

import (
	"bytes"
	"testing"

	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/rules"
)

// TestBridge queues frames that pass through a bridge, by port and by what is in them.
func TestBridge(t *testing.T) {
	for rule, want := range map[string]int64{
		"forward bridge udp dport 2000 iif client0 oif server0": 1,
		"forward bridge udp daddr 192.0.2.2":                    1,
		"forward bridge udp saddr 0.0.0.0/0":                    1,
		"prerouting bridge udp saddr 192.0.2.0/24 iif client0":  1,
		"postrouting bridge oif server0 udp sport 1000":         1,
		"forward bridge udp dport 2001":                         0,
		"forward bridge udp daddr 2001:db8:1::2":                0,
		"forward bridge udp saddr ::/0":                         0,
		"forward bridge udp dport 2000 iif server0":             0,
	} {
		t.Run(rule, func(t *testing.T) {
			n := labtest.Bridged(t)
			set, err := rules.Install(rules.Config{NetNS: n.Middle.FD()},
				parse(t, rule+" priority -200"))
			labtest.Must(t, err)
			defer set.Close()
			count := watch(t, n.Middle, 0)
			udp := flow{protocol: "udp", sport: 1000, dport: 2000}
			if got := udp.send(t, n); !bytes.Equal(got, plain) {
				t.Errorf("received %q", got)
			}
			if got := count.Load(); got != want {
				t.Errorf("%d packets were queued, want %d", got, want)
			}
		})
	}
}
