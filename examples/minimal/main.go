// SPDX-License-Identifier: GPL-2.0-or-later

// Command minimal prints the packets of queue 0 and lets them pass. To see the machine's
// DNS questions:
//
//	iptables -A OUTPUT -p udp --dport 53 -j NFQUEUE --queue-num 0 --queue-bypass
//	go build && sudo ./minimal
package main

import (
	"context"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/chifflier/nfqueue-go"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := nfqueue.Run(ctx, nfqueue.Config{Queue: 0},
		nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
			flow, _ := p.Flow()
			log.Printf("%v: %v, %d bytes", p.Hook(), flow, len(p.Payload()))
			return nfqueue.Accept
		}))
	if err != nil {
		log.Fatal(err)
	}
}
