// SPDX-License-Identifier: GPL-2.0-or-later

package rules_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/rules"
)

// Judge what the router forwards, and end without losing a packet.
func ExampleInstall() {
	r, err := rules.Parse("forward tcp dport 443 ct new")
	if err != nil {
		log.Fatal(err)
	}
	set, err := rules.Install(rules.Config{}, r)
	if err != nil {
		log.Fatal(err)
	}
	defer set.Close() // last

	q, err := nfqueue.Open(nfqueue.Config{Queue: r.Queue, Fallback: nfqueue.Accept})
	if err != nil {
		log.Print(err)
		return
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		q.Shutdown(ctx) // then, for what waits
	}()
	defer set.Stop() // first

	go q.Serve(context.Background(), nfqueue.HandlerFunc(func(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Accept }))

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	<-ctx.Done()
}

// Show a rule to somebody who installs it by hand.
func ExampleRule_NFT() {
	r, err := rules.Parse("out ip udp dport 53 queue 1")
	if err != nil {
		log.Fatal(err)
	}
	for _, print := range []func() ([]string, error){r.NFT, r.IPTables} {
		lines, err := print()
		if err != nil {
			log.Fatal(err)
		}
		for _, l := range lines {
			fmt.Println(l)
		}
	}
	// Output:
	// nft 'add table inet nfqueue'
	// nft 'add chain inet nfqueue output { type filter hook output priority 0; policy accept; }'
	// nft 'add rule inet nfqueue output meta nfproto ipv4 udp dport 53 queue num 1 bypass'
	// iptables -t filter -A OUTPUT -p udp -m udp --dport 53 -j NFQUEUE --queue-num 1 --queue-bypass
}
