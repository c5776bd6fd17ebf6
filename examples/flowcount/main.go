// SPDX-License-Identifier: GPL-2.0-or-later

// Command flowcount counts packets and bytes of each flow, both directions together, and
// prints the counts when it is interrupted. It needs no more than the headers, so the
// queue copies 128 bytes of each packet.
//
//	iptables -A INPUT -j NFQUEUE --queue-num 0 --queue-bypass
//	iptables -A OUTPUT -j NFQUEUE --queue-num 0 --queue-bypass
//	go build && sudo ./flowcount
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/chifflier/nfqueue-go"
)

type count struct{ packets, bytes int }

func (c *count) add(p *nfqueue.Packet) {
	c.packets++
	c.bytes += p.FullLen()
}

// counter is a handler for a part of the flows. It counts so many at most each by itself,
// so that a flood does not take all memory.
type counter struct {
	flows  map[nfqueue.Flow]count
	max    int
	others count
}

// maxFlows is about 10 MiB.
const maxFlows = 1 << 16

func newCounter(max int) *counter { return &counter{flows: make(map[nfqueue.Flow]count), max: max} }

// ServePacket implements nfqueue.Handler.
func (c *counter) ServePacket(p *nfqueue.Packet) nfqueue.Verdict {
	flow, ok := p.Flow()
	if !ok {
		return nfqueue.Accept
	}
	if back := flow.Reverse(); back.SrcAddrPort().Compare(flow.SrcAddrPort()) < 0 {
		flow = back // one key for both directions
	}
	n, known := c.flows[flow]
	if !known && len(c.flows) >= c.max {
		c.others.add(p)
		return nfqueue.Accept
	}
	n.add(p)
	c.flows[flow] = n
	return nfqueue.Accept
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	q, err := nfqueue.Open(nfqueue.Config{Queue: 0, CopyRange: 128, Fallback: nfqueue.Accept})
	if err != nil {
		log.Fatal(err)
	}
	defer q.Close()
	// A goroutine for each processor, each with its own map: no locks. All packets of a
	// flow go to the same one.
	var counters []*counter
	err = q.ServeFlows(ctx, runtime.GOMAXPROCS(0), func(int) nfqueue.Handler {
		c := newCounter(maxFlows)
		counters = append(counters, c)
		return c
	})
	if err != nil {
		log.Print(err)
	}
	for _, c := range counters {
		for f, n := range c.flows {
			fmt.Printf("%v: %d packets, %d bytes\n", f, n.packets, n.bytes)
		}
		if n := c.others; n.packets > 0 {
			fmt.Printf("others: %d packets, %d bytes\n", n.packets, n.bytes)
		}
	}
}
