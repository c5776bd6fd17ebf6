// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"fmt"
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

// Packets of every queue pass.
func TestManyQueues(t *testing.T) {
	h := labtest.Host(t)
	c := labtest.Chain(t, h, netlab.IP, netlab.Output, 0)
	const first = 4000
	for queue := range uint16(4) {
		labtest.Rule(t, c, netlab.L4Proto(17), netlab.DstPort(first+queue),
			netlab.ToQueue(netlab.Queue{Num: queue}))
	}
	p := labtest.Start(t, h, 4)
	var says []string
	for queue := range uint16(4) {
		u := labtest.SendUDP(t, h, h, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), first+queue))
		for i := range queue + 1 {
			text := fmt.Sprint(i)
			u.Send(t, text)
			u.Arrive(t, text)
		}
		says = append(says, fmt.Sprintf("queue %d: %d packets\n", queue, queue+1))
	}
	p.Terminate(t, append(says, "accepted 10 packets\n")...)
}
