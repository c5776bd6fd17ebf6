// SPDX-License-Identifier: GPL-2.0-or-later

// Command decode decodes the packets of queue 0 with gopacket, without copying them and
// without allocating for each one, and drops TCP connections to port 23. The layers refer
// to the packet's memory, so they are valid until the handler returns.
//
//	iptables -A OUTPUT -p tcp --syn -j NFQUEUE --queue-num 0 --queue-bypass
//	go build && sudo ./decode
package main

import (
	"context"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/chifflier/nfqueue-go"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// decoder is a handler. Its layers are used again for each packet: a queue has one
// handler on one goroutine.
type decoder struct {
	ip4    layers.IPv4
	ip6    layers.IPv6
	tcp    layers.TCP
	body   gopacket.Payload
	found  []gopacket.LayerType
	parse4 *gopacket.DecodingLayerParser
	parse6 *gopacket.DecodingLayerParser
}

func newDecoder() *decoder {
	d := new(decoder)
	d.parse4 = gopacket.NewDecodingLayerParser(layers.LayerTypeIPv4, &d.ip4, &d.tcp, &d.body)
	d.parse6 = gopacket.NewDecodingLayerParser(layers.LayerTypeIPv6, &d.ip6, &d.tcp, &d.body)
	// Other protocols are none of our business.
	d.parse4.IgnoreUnsupported, d.parse6.IgnoreUnsupported = true, true
	return d
}

// ServePacket implements nfqueue.Handler.
func (d *decoder) ServePacket(p *nfqueue.Packet) nfqueue.Verdict {
	parse := d.parse4
	if p.Family() == nfqueue.FamilyIPv6 {
		parse = d.parse6
	}
	if err := parse.DecodeLayers(p.Payload(), &d.found); err != nil {
		log.Println(describe(p.Payload()), err)
		return nfqueue.Drop
	}
	for _, layer := range d.found {
		if layer == layers.LayerTypeTCP && d.tcp.DstPort == 23 {
			log.Printf("dropped: port %d to %d, flags SYN=%v", d.tcp.SrcPort, d.tcp.DstPort, d.tcp.SYN)
			return nfqueue.Drop
		}
	}
	return nfqueue.Accept
}

// describe is the way for a packet now and then: it decodes what is asked for only, but
// allocates.
func describe(b []byte) string {
	first := layers.LayerTypeIPv4
	if len(b) > 0 && b[0]>>4 == 6 {
		first = layers.LayerTypeIPv6
	}
	p := gopacket.NewPacket(b, first, gopacket.DecodeOptions{Lazy: true, NoCopy: true})
	if network := p.NetworkLayer(); network != nil {
		return network.NetworkFlow().String()
	}
	return "no IP packet"
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := nfqueue.Run(ctx, nfqueue.Config{Queue: 0}, newDecoder()); err != nil {
		log.Fatal(err)
	}
}
