// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
)

func TestMain(m *testing.M) {
	if labtest.IsProgram() {
		main()
		return
	}
	labtest.Main(m)
}

func TestFlowCount(t *testing.T) {
	n := labtest.Pair(t)
	for _, hook := range []netlab.Hook{netlab.Input, netlab.Output} {
		labtest.Rule(t, labtest.Chain(t, n.Client, netlab.IP, hook, 0), netlab.L4Proto(17),
			netlab.ToQueue(netlab.Queue{}))
	}
	p := labtest.Start(t, n.Client, 1)
	var lines []string
	for port, texts := range map[uint16][]string{4000: {"one", "two"},
		4001: {"a longer one", "two", "three"}} {
		u := labtest.SendUDP(t, n.Client, n.Server, netip.AddrPortFrom(n.Server4, port))
		bytes := 0
		for _, text := range texts {
			u.Send(t, text)
			u.Arrive(t, text)
			bytes += 28 + len(text)
		}
		// An answer belongs to the same flow.
		client := u.From.LocalAddr().(interface{ AddrPort() netip.AddrPort }).AddrPort()
		if _, err := u.To.WriteToUDPAddrPort([]byte("answer"), client); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 10)
		if _, err := u.From.Read(b); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fmt.Sprintf("udp 192.0.2.1:%d > 192.0.2.2:%d: %d packets, %d bytes\n",
			client.Port(), port, len(texts)+1, bytes+28+6))
	}
	p.Terminate(t, lines...)
}

// A flood of flows costs no more than the flows that are counted one by one.
func TestBound(t *testing.T) {
	c := newCounter(10)
	k := nfqueuetest.NewKernel(t)
	k.Serve(nfqueue.Config{}, c)
	server := netip.MustParseAddrPort("198.51.100.1:53")
	for round := range 2 {
		for i := range 100 {
			from := netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), uint16(4000+i))
			p := nfqueuetest.UDP(from, server, make([]byte, 12))
			if r := k.Send(0, nfqueuetest.Spec{Payload: p}).Result(); !r.Passed {
				t.Fatal("dropped")
			}
		}
		if want := (count{90 * (round + 1), 40 * 90 * (round + 1)}); len(c.flows) != 10 ||
			c.others != want {
			t.Errorf("%d flows, others %+v, want %+v", len(c.flows), c.others, want)
		}
	}
}
