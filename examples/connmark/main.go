// SPDX-License-Identifier: GPL-2.0-or-later

// Command connmark looks at the first packets of a connection only. Its verdict sets the
// packet mark, a rule behind the queue saves that in the connection, and a rule before the
// queue lets packets of marked connections go by, so the rest never leaves the kernel:
//
//	iptables -t mangle -A OUTPUT -j CONNMARK --restore-mark
//	iptables -t mangle -A OUTPUT -m mark --mark 1 -j ACCEPT
//	iptables -t mangle -A OUTPUT -p tcp --dport 80 -j NFQUEUE --queue-num 0 --queue-bypass
//	iptables -t mangle -A POSTROUTING -m mark --mark 1 -j CONNMARK --save-mark
//	go build && sudo ./connmark
//
// With nftables these are "meta mark set ct mark", "meta mark 1 accept", "queue flags
// bypass to 0" and "meta mark 1 ct mark set meta mark". This works on every kernel. One
// built with NETFILTER_NETLINK_GLUE_CT can do without the last rule: there
// Packet.SetConnMark marks the connection itself, on a queue with the flag Conntrack.
package main

import (
	"context"
	"log"
	"os"
	"os/signal"

	"github.com/chifflier/nfqueue-go"
)

// done is the mark of connections that need no more looking at.
const done = 1

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	seen := 0
	err := nfqueue.Run(ctx, nfqueue.Config{Queue: 0, Fallback: nfqueue.Accept}, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		seen++
		if interesting(p) {
			p.SetMark(done)
		}
		return nfqueue.Accept
	}))
	log.Printf("%d packets seen", seen)
	if err != nil {
		log.Fatal(err)
	}
}

// interesting reports whether p decides its connection: here, the first packet with data does.
func interesting(p *nfqueue.Packet) bool {
	segment, ok := p.Transport()
	if !ok || segment.Protocol != nfqueue.TCP {
		return true // nothing more will be known
	}
	return len(segment.Body) > 0
}
