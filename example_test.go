// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"slices"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
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

// Decode packets with gopacket, in place and into layers that are used again. What it finds
// is valid as long as Payload is: until the handler returns.
func ExamplePacket_Payload_gopacket() {
	var (
		ip4 layers.IPv4
		ip6 layers.IPv6
		udp layers.UDP
		dns layers.DNS
	)
	parser4 := gopacket.NewDecodingLayerParser(layers.LayerTypeIPv4, &ip4, &udp, &dns)
	parser6 := gopacket.NewDecodingLayerParser(layers.LayerTypeIPv6, &ip6, &udp, &dns)
	parser4.IgnoreUnsupported, parser6.IgnoreUnsupported = true, true
	var found []gopacket.LayerType
	handler := nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		parser := parser4
		if p.EtherType() == uint16(layers.EthernetTypeIPv6) {
			parser = parser6
		}
		if err := parser.DecodeLayers(p.Payload(), &found); err != nil {
			return nfqueue.Drop
		}
		if slices.Contains(found, layers.LayerTypeDNS) && !dns.QR && len(dns.Questions) > 0 {
			fmt.Printf("%s %s?\n", dns.Questions[0].Type, dns.Questions[0].Name)
		}
		return nfqueue.Accept
	})

	// Recorded packets, to show it without a kernel.
	capture, err := os.Open("testdata/captures/dns.pcapng")
	if err != nil {
		log.Fatal(err)
	}
	defer capture.Close()
	for _, err := range nfqueuetest.Replay(capture, handler, nfqueuetest.Spec{}) {
		if err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// A www.example.org?
	// AAAA www.example.org?
	// A nowhere.example.org?
	// TXT long.example.org?
	// A www.example.org?
	// AAAA www.example.org?
	// A nowhere.example.org?
	// TXT long.example.org?
}
