// SPDX-License-Identifier: GPL-2.0-or-later

// Command connmark names the host of each HTTP connection, and sees no more than the first
// packets of it. A verdict for the connection marks it, and rules in front of the queue let
// packets of marked connections go by. They are rules.Rule.Offload; Rule.IPTables and Rule.NFT
// return them as commands.
//
// This works on every kernel. One built with NETFILTER_NETLINK_GLUE_CT can mark a
// connection without a rule: by Packet.SetConnMark, on a queue with the flag Conntrack.
//
//	go build && sudo ./connmark
package main

import (
	"context"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/connection"
	"github.com/chifflier/nfqueue-go/inspect"
	"github.com/chifflier/nfqueue-go/inspect/httphost"
	"github.com/chifflier/nfqueue-go/rules"
)

// name answers when the host of a connection is known.
func name(c *connection.Conn) connection.Answer {
	request, status := httphost.Parse(c.Bytes(connection.Original))
	if status == inspect.More {
		return connection.More
	}
	log.Printf("%v: %s", c.Flow(), request.Host)
	return connection.Accept
}

func run(ctx context.Context) error {
	rule, err := rules.Parse("out tcp dport 80 offload")
	if err != nil {
		return err
	}
	cfg := connection.Config{OneWay: true, Fallback: connection.Accept, Offload: rule.Offload}
	t := connection.New(cfg, connection.HandlerFunc(name))
	return rules.RunFunc(ctx, nfqueue.Config{Fallback: nfqueue.Accept},
		func(ctx context.Context, q *nfqueue.Queue) error {
			err := q.Serve(ctx, t)
			log.Printf("%d packets seen of %d connections", q.Stats().Received, t.Stats().Opened)
			return err
		}, rule)
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}
