// SPDX-License-Identifier: GPL-2.0-or-later

package labtest

import (
	"strings"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/google/nftables"
)

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
