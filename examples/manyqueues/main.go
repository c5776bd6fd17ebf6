// SPDX-License-Identifier: GPL-2.0-or-later

// Command manyqueues serves the queues 0 to 3, each on its own goroutine and with its own
// state, so that nothing is locked. The kernel spreads flows over them by a hash of the
// addresses:
//
//	iptables -A INPUT -j NFQUEUE --queue-balance 0:3 --queue-bypass
//	go build && sudo ./manyqueues
//
// With --queue-cpu-fanout it chooses by processor.
package main

import (
	"context"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/chifflier/nfqueue-go"
)

// worker is the handler of one queue.
type worker struct{ packets int }

// ServePacket implements nfqueue.Handler.
func (w *worker) ServePacket(p *nfqueue.Packet) nfqueue.Verdict {
	w.packets++
	return nfqueue.Accept
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	g, err := nfqueue.OpenGroup(nfqueue.Config{Fallback: nfqueue.Accept}, 4)
	if err != nil {
		log.Fatal(err)
	}
	defer g.Close()
	workers := make(map[uint16]*worker)
	for _, q := range g.Queues() {
		workers[q.Number()] = new(worker)
	}
	err = g.ServeEach(ctx, func(queue uint16) nfqueue.Handler { return workers[queue] })
	if err != nil {
		log.Print(err)
	}
	for _, q := range g.Queues() {
		log.Printf("queue %d: %d packets", q.Number(), workers[q.Number()].packets)
	}
	log.Printf("accepted %d packets", g.Stats().Accepted)
}
