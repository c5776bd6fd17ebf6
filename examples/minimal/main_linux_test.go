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

func TestMinimal(t *testing.T) {
	n := labtest.Pair(t)
	labtest.Rule(t, labtest.Chain(t, n.Client, netlab.IP, netlab.Output, 0),
		netlab.L4Proto(17), netlab.DstPort(53), netlab.ToQueue(netlab.Queue{}))
	u := labtest.SendUDP(t, n.Client, n.Server, netip.AddrPortFrom(n.Server4, 53))
	u.Send(t, "dropped while nobody has bound the queue")
	p := labtest.Start(t, n.Client, 1)
	u.Send(t, "hello", "again")
	u.Arrive(t, "hello", "again")
	p.Terminate(t, "output: udp 192.0.2.1:", " > 192.0.2.2:53, 33 bytes\n")
}
