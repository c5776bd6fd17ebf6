// SPDX-License-Identifier: GPL-2.0-or-later

// Command blocksni keeps TLS and QUIC connections to the given names from being made. The
// Client Hello is held until the name is known, in as many packets as it comes, so the
// server sees no byte of one for a blocked name. The client is told at once, or with -drop
// not at all. The kernel carries on with decided connections.
//
//	go build && sudo ./blocksni ads.example
package main

import (
	"context"
	"flag"
	"log"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/connection"
	"github.com/chifflier/nfqueue-go/inspect"
	"github.com/chifflier/nfqueue-go/inspect/quicinitial"
	"github.com/chifflier/nfqueue-go/inspect/tlshello"
	"github.com/chifflier/nfqueue-go/rules"
)

// blocker is a handler.
type blocker struct {
	names []string
	block connection.Answer
}

// ServeConn implements connection.Handler.
func (b *blocker) ServeConn(c *connection.Conn) connection.Answer {
	hello, status := tlshello.Parse(c.Bytes(connection.Original))
	if c.Flow().Protocol == nfqueue.UDP {
		hello, status = quicinitial.Parse(c.Datagrams(connection.Original))
	}
	name := strings.ToLower(string(hello.ServerName))
	switch {
	case c.Middle() && len(c.Bytes(connection.Reply)) > 0: // its hello was before the program
		return connection.Accept
	case status == inspect.More:
		return connection.More
	case status == inspect.Malformed:
		log.Printf("blocked a malformed hello: %v", c.Flow())
		return b.block
	case slices.Contains(b.names, name):
		log.Printf("blocked %s: %v", name, c.Flow())
		return b.block
	}
	return connection.Accept
}

// run blocks until ctx ends.
func run(ctx context.Context, b *blocker) error {
	var queued []rules.Rule
	for _, text := range []string{"out tcp dport 443 offload", "in tcp sport 443 offload",
		"out udp dport 443 offload"} {
		r, err := rules.Parse(text)
		if err != nil {
			return err
		}
		queued = append(queued, r)
	}
	cfg := connection.Config{Hold: true, Fallback: b.block, Offload: queued[0].Offload}
	return rules.Run(ctx, nfqueue.Config{}, connection.New(cfg, b), queued...)
}

func main() {
	drop := flag.Bool("drop", false, "drop blocked connections instead of rejecting them")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	b := &blocker{names: flag.Args(), block: connection.Reject}
	if *drop {
		b.block = connection.Drop
	}
	if err := run(ctx, b); err != nil {
		log.Fatal(err)
	}
}
