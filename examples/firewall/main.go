// SPDX-License-Identifier: GPL-2.0-or-later

// Command firewall keeps programs of this machine from names, of servers or of domains:
//
//	firewall ads.example tracker.example
//
// It queues what leaves for DNS and TLS, and drops questions for the names and TLS connections
// to them. The kernel carries on with connections that are decided. The tests show how such a
// handler is tested without root and on every system.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/rules"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: firewall NAME...")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

// run blocks names until ctx ends.
func run(ctx context.Context, names []string) error {
	var queued []rules.Rule
	for _, text := range []string{
		"out udp dport 53", "out tcp dport 53 offload", "out tcp dport 443 offload",
	} {
		r, err := rules.Parse(text)
		if err != nil {
			return err
		}
		queued = append(queued, r)
	}
	handler := newFirewall(names, log.Default(), rules.DefaultOffload)
	// Without GSO a packet has one question: a socket may send several in one (UDP_SEGMENT).
	cfg := nfqueue.Config{Fallback: nfqueue.Accept, Flags: nfqueue.NoGSO}
	return rules.Run(ctx, cfg, handler, queued...)
}
