// SPDX-License-Identifier: GPL-2.0-or-later

// Command lookup decides packets when a slow lookup has answered, here that of the name of
// the address they go to: those to hosts without a name are dropped. Meanwhile other
// packets go on. A packet waits for at most two seconds.
//
//	iptables -A OUTPUT -p tcp --syn -j NFQUEUE --queue-num 0 --queue-bypass
//	go build && sudo ./lookup
package main

import (
	"context"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/chifflier/nfqueue-go"
)

const patience = 2 * time.Second

// busy bounds how many lookups run at the same time.
var busy = make(chan struct{}, 100)

func decide(p *nfqueue.Packet) nfqueue.Verdict {
	flow, ok := p.Flow()
	if !ok {
		return nfqueue.Drop
	}
	select {
	case busy <- struct{}{}:
	default:
		return nfqueue.Drop
	}
	held := p.DeferTimeout(patience)
	go func() {
		defer func() { <-busy }()
		verdict := nfqueue.Accept
		if !named(flow.Dst.String()) {
			verdict = nfqueue.Drop
		}
		log.Printf("%v: %v", flow.Dst, verdict)
		if err := held.Resolve(verdict); err != nil {
			log.Print(err) // it was too late
		}
	}()
	return nfqueue.Deferred
}

func named(addr string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	names, err := net.DefaultResolver.LookupAddr(ctx, addr)
	return err == nil && len(names) > 0
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := nfqueue.Run(ctx, nfqueue.Config{Queue: 0}, nfqueue.HandlerFunc(decide)); err != nil {
		log.Fatal(err)
	}
}
