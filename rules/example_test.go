// SPDX-License-Identifier: GPL-2.0-or-later

package rules_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/rules"
)

// Judge what the router forwards, and end without losing a packet.
func ExampleRun() {
	r, err := rules.Parse("forward tcp dport 443 ct new")
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	accept := nfqueue.HandlerFunc(func(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Accept })
	if err := rules.Run(ctx, nfqueue.Config{Fallback: nfqueue.Accept}, accept, r); err != nil {
		log.Print(err)
	}
}

// Serve a queue on four goroutines.
func ExampleRunFunc() {
	r, err := rules.Parse("forward tcp")
	if err != nil {
		log.Fatal(err)
	}
	newHandler := func(int) nfqueue.Handler {
		return nfqueue.HandlerFunc(func(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Accept })
	}
	err = rules.RunFunc(context.Background(), nfqueue.Config{},
		func(ctx context.Context, q *nfqueue.Queue) error {
			return q.ServeFlows(ctx, 4, newHandler)
		}, r)
	if err != nil {
		log.Print(err)
	}
}

// Let the kernel drop the rest of a connection that the handler has decided.
func ExampleOffload() {
	r, err := rules.Parse("out tcp dport 80 offload")
	if err != nil {
		log.Fatal(err)
	}
	handler := nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		switch {
		case bytes.Contains(p.Payload(), []byte("forbidden")):
			return r.Offload.Reject(p) // a reset for the sender, now and for all that follows
		case bytes.Contains(p.Payload(), []byte("HTTP/1.1")):
			return r.Offload.Accept(p) // nothing of this connection is queued any more
		}
		return nfqueue.Accept // the next packet is queued too
	})
	if err := rules.Run(context.Background(), nfqueue.Config{}, handler, r); err != nil {
		log.Print(err)
	}
}

// Have the queue open as long as the rules are there, and end in the right order.
func ExampleInstall() {
	r, err := rules.Parse("forward tcp dport 443")
	if err != nil {
		log.Fatal(err)
	}
	q, err := nfqueue.Open(nfqueue.Config{Queue: r.Queue, Fallback: nfqueue.Accept})
	if err != nil {
		log.Fatal(err)
	}
	defer q.Close()
	set, err := rules.Install(rules.Config{}, r)
	if err != nil {
		log.Print(err)
		return
	}
	defer set.Close() // last
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		q.Shutdown(ctx) // then, for what waits
	}()
	defer set.Stop() // first

	accept := func(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Accept }
	go q.Serve(context.Background(), nfqueue.HandlerFunc(accept))

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
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
	// nft 'add rule inet nfqueue output meta nfproto ipv4 udp dport 53 ip frag-off & 0x1fff == 0 queue num 1 bypass'
	// iptables -t filter -A OUTPUT -p udp -m multiport --dports 53 -j NFQUEUE --queue-num 1 --queue-bypass
}

// Read a rule from a word for each thing that a packet must match.
func ExampleParse() {
	r, err := rules.Parse("forward tcp dport 8000-8999 iif eth0 ct new queue 4-7")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.Hook, r.Protocol, r.DstPort, r.InDevName, r.CTState)
	fmt.Println("first queue", r.Queue, "of", r.Queues)
	fmt.Println(r)
	// Output:
	// forward tcp 8000-8999 eth0 new
	// first queue 4 of 4
	// forward tcp iif eth0 dport 8000-8999 ct new queue 4-7
}

// Point at what is wrong with a rule that a user has written.
func ExampleParseError() {
	_, err := rules.Parse("out tcp dport 44e3")
	var wrong *rules.ParseError
	if errors.As(err, &wrong) {
		fmt.Println(wrong.Text)
		fmt.Println(strings.Repeat(" ", wrong.Pos) + "^")
		fmt.Println(wrong.Err)
	}
	// Output:
	// out tcp dport 44e3
	//               ^
	// expected a port, 0 to 65535, a range such as 80-90, or several with commas between them
}

// Make a rule without text.
func ExampleRule() {
	r := rules.Rule{
		Hook:     nfqueue.HookOutput,
		Protocol: rules.UDP,
		Dst:      []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
		DstPort:  rules.Ports{{First: 53}},
		Queue:    1,
	}
	fmt.Println(r.Validate(), r)
	// Output: <nil> out udp daddr 192.0.2.0/24 dport 53 queue 1
}

// Learn which field of a rule makes no sense.
func ExampleRule_Validate() {
	r := rules.Rule{Hook: nfqueue.HookInput, OutDevName: "eth0"}
	var wrong *rules.FieldError
	if errors.As(r.Validate(), &wrong) {
		fmt.Println(wrong.Field+":", wrong.Err)
	}
	// Output: OutDevName: it is not known at input through which interface a packet leaves; match the one through which it came, or use another hook
}
