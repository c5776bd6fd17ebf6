// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue_test

import (
	"context"
	"log"
	"os"
	"os/signal"
	"time"

	"github.com/chifflier/nfqueue-go"
)

// Drop DNS queries until interrupted, and let everything else pass.
func ExampleRun() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := nfqueue.Run(ctx, nfqueue.Config{Queue: 0}, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		if flow, ok := p.Flow(); ok && flow.HasPorts() && flow.DstPort == 53 {
			return nfqueue.Drop
		}
		return nfqueue.Accept
	}))
	if err != nil {
		log.Fatal(err)
	}
}

// Change packets in place. Lengths and checksums are set to fit.
func ExamplePacket_SetPayload() {
	handler := nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		b := p.Payload()
		b[8]-- // the time to live of IPv4
		if err := p.SetPayload(b); err != nil {
			log.Println(err)
			return nfqueue.Drop
		}
		return nfqueue.Accept
	})
	_ = handler
}

// Decide packets later, when a slow lookup has answered.
func ExamplePacket_Defer() {
	lookup := func(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Accept }
	handler := nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		held := p.DeferTimeout(2 * time.Second) // then it gets the Fallback
		go func() { held.Resolve(lookup(held.Packet())) }()
		return nfqueue.Deferred
	})
	_ = handler
}

// End a queue without losing the packets that wait in it.
func ExampleQueue_Shutdown() {
	q, err := nfqueue.Open(nfqueue.Config{Queue: 0, Fallback: nfqueue.Accept})
	if err != nil {
		log.Fatal(err)
	}
	go q.Serve(context.Background(), nfqueue.HandlerFunc(func(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Accept }))

	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := q.Shutdown(ctx); err != nil {
		log.Println(err)
	}
}
