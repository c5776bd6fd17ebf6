// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue_test

import (
	"bytes"
	"fmt"
	"log"
	"os"
	"slices"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// Change packets in place. Lengths and checksums are set to fit.
func ExamplePacket_SetPayload() {
	handler := nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		b := p.Payload()
		at := bytes.Index(b, []byte("secret"))
		if at < 0 {
			return nfqueue.Accept
		}
		if err := p.SetPayload(append(b[:at], "-"...)); err != nil {
			return nfqueue.Drop
		}
		return nfqueue.Accept
	})
	k, end := inMemory()
	defer end()
	k.Serve(nfqueue.Config{}, handler) // nfqueue.Run, with the real kernel

	sent := datagram(1024, "this is secret")
	arrived := k.Send(0, sent).Result().Payload
	fmt.Printf("%q, %d bytes less\n", arrived[28:], len(sent.Payload)-len(arrived))
	// Output: "this is -", 5 bytes less
}

// Read what a packet carries. Lengths and checksums of a changed body are set to fit.
func ExamplePacket_Transport() {
	handler := nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		t, ok := p.Transport()
		if !ok || t.Protocol != nfqueue.UDP {
			return nfqueue.Accept
		}
		fmt.Printf("%v: %q\n", t.Protocol, t.Body)
		if err := p.SetBody(bytes.ToUpper(t.Body)); err != nil {
			return nfqueue.Drop
		}
		return nfqueue.Accept
	})
	k, end := inMemory()
	defer end()
	k.Serve(nfqueue.Config{}, handler) // nfqueue.Run, with the real kernel

	arrived := k.Send(0, datagram(1024, "hello")).Result().Payload
	fmt.Printf("%q arrived\n", arrived[28:])
	// Output:
	// udp: "hello"
	// "HELLO" arrived
}

// Mark what a handler has seen, for rules behind the queue.
func ExamplePacket_SetMark() {
	handler := nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		p.SetMark(p.Mark() | 0x10)
		return nfqueue.Accept
	})
	k, end := inMemory()
	defer end()
	k.Serve(nfqueue.Config{}, handler) // nfqueue.Run, with the real kernel

	s := datagram(1024, "")
	s.Mark = 1
	fmt.Printf("%#x\n", k.Send(0, s).Result().Mark)
	// Output: 0x11
}

// Decide packets later, when a slow lookup has answered.
func ExamplePacket_Defer() {
	lookup := func(p *nfqueue.Packet) nfqueue.Verdict {
		if bytes.HasSuffix(p.Payload(), []byte("good")) {
			return nfqueue.Accept
		}
		return nfqueue.Drop
	}
	handler := nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		held := p.Defer()
		go func() { held.Resolve(lookup(held.Packet())) }()
		return nfqueue.Deferred
	})
	k, end := inMemory()
	defer end()
	k.Serve(nfqueue.Config{}, handler) // nfqueue.Run, with the real kernel

	fmt.Println(k.Send(0, datagram(1024, "good")).Result().Verdict)
	fmt.Println(k.Send(0, datagram(1024, "bad")).Result().Verdict)
	// Output:
	// accept
	// drop
}

// Bound how long packets wait for a lookup that does not answer.
func ExamplePacket_DeferTimeout() {
	handler := nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		p.DeferTimeout(10 * time.Millisecond) // and nobody resolves it
		return nfqueue.Deferred
	})
	k, end := inMemory()
	defer end()
	// With the real kernel this is nfqueue.Run.
	q := k.Serve(nfqueue.Config{Fallback: nfqueue.Accept}, handler)

	fmt.Println(k.Send(0, datagram(1024, "")).Result().Verdict, q.Stats().Fallback.Expired)
	// Output: accept 1
}

// Tell the two directions of a conversation apart, and from other conversations.
func ExamplePacket_Flow() {
	handler := nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		if flow, ok := p.Flow(); ok && flow.HasPorts() {
			fmt.Println(flow.Src, flow.SrcPort, "to", flow.Dst, flow.DstPort)
		}
		return nfqueue.Accept
	})
	k, end := inMemory()
	defer end()
	k.Serve(nfqueue.Config{}, handler) // nfqueue.Run, with the real kernel
	k.Send(0, datagram(1024, "")).Result()
	// Output: 192.0.2.1 1024 to 198.51.100.1 53
}

// Find the user who sent a packet.
func ExamplePacket_UID() {
	handler := nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		if uid, ok := p.UID(); ok {
			fmt.Println("sent by user", uid)
		}
		return nfqueue.Accept
	})
	k, end := inMemory()
	defer end()
	k.Serve(nfqueue.Config{Flags: nfqueue.UIDGID}, handler) // nfqueue.Run, with the real kernel
	s := datagram(1024, "")
	s.Hook, s.Owner = nfqueue.HookOutput, &nfqueuetest.Owner{UID: 1000, GID: 1000}
	k.Send(0, s).Result()
	// Output: sent by user 1000
}

// Let the rest of a connection skip the queue: a rule before the one that queues accepts packets
// with the mark. The whole program is in examples/connmark.
func ExamplePacket_Conntrack() {
	handler := nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		if state, ok := p.ConnState(); !ok || state.Reply() {
			return nfqueue.Accept
		}
		entry, _ := p.Conntrack()
		original, _ := entry.Original()
		log.Println("judged:", original) // "tcp 192.0.2.1:1024 > 198.51.100.1:443"
		if err := p.SetConnMark(1, 1); err != nil {
			log.Println(err)
		}
		return nfqueue.Accept
	})
	config := nfqueue.Config{Flags: nfqueue.Conntrack}
	_, _ = handler, config // of nfqueue.Run
}

// Send packets to another queue, where they get another id.
func ExampleToQueue() {
	k, end := inMemory()
	defer end()
	requeue := func(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.ToQueue(7) }
	k.Serve(nfqueue.Config{Queue: 0}, nfqueue.HandlerFunc(requeue))
	k.Serve(nfqueue.Config{Queue: 7}, accept)

	for _, hop := range k.Send(0, datagram(1024, "")).Result().Hops {
		fmt.Println("queue", hop.Queue, "said", hop.Verdict)
	}
	// Output:
	// queue 0 said queue 7
	// queue 7 said accept
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
	for _, err := range nfqueuetest.Replay(capture, nfqueue.Config{}, handler, nfqueuetest.Spec{}) {
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
