// SPDX-License-Identifier: GPL-2.0-or-later

package labtest

import (
	"strings"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/rules"
	"github.com/google/nftables"
)

// Install installs rules in a host until the test ends, or until it closes the Set. The texts are
// those that rules.Parse reads.
func Install(tb testing.TB, h *netlab.Host, texts ...string) *rules.Set {
	tb.Helper()
	var all []rules.Rule
	for _, text := range texts {
		r, err := rules.Parse(text)
		Must(tb, err)
		all = append(all, r)
	}
	set, err := rules.Install(rules.Config{NetNS: h.FD()}, all...)
	Must(tb, err)
	tb.Cleanup(func() {
		if err := set.Close(); err != nil {
			tb.Error(err)
		}
	})
	return set
}

// AwaitRules returns when a program has installed rules of package rules in a host.
func AwaitRules(tb testing.TB, h *netlab.Host) {
	tb.Helper()
	conn, err := nftables.New(nftables.WithNetNSFd(h.FD()))
	Must(tb, err)
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		chains, err := conn.ListChains()
		Must(tb, err)
		for _, c := range chains {
			if c.Hooknum != nil && strings.HasPrefix(c.Table.Name, "nfqueue-") {
				return
			}
		}
	}
	tb.Fatal("the program has not installed rules")
}
