// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"net/netip"
	"testing"

	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
)

func TestMain(m *testing.M) {
	if labtest.IsProgram() {
		main()
		return
	}
	labtest.Main(m)
}

// The loopback address has a name in every hosts file; another one has none, and nobody
// answers for it in the namespace.
func TestLookup(t *testing.T) {
	h := labtest.Host(t)
	labtest.Rule(t, labtest.Chain(t, h, netlab.IP, netlab.Output, 0),
		netlab.L4Proto(17), netlab.DstPort(4000), netlab.ToQueue(netlab.Queue{}))
	named := labtest.SendUDP(t, h, h, netip.MustParseAddrPort("127.0.0.1:4000"))
	nameless := labtest.SendUDP(t, h, h, netip.MustParseAddrPort("127.9.9.9:4000"))
	p := labtest.Start(t, h, 1)
	nameless.Send(t, "first")
	named.Send(t, "second")
	named.Arrive(t, "second")
	p.Terminate(t, "127.0.0.1: accept\n", "127.9.9.9: drop\n")
}
