// SPDX-License-Identifier: GPL-2.0-or-later

// Command blocksni keeps TLS connections to the given names from being made. A Client
// Hello is often longer than one segment, so it is put together first. When it is for a
// blocked name, its last segment is dropped and all that come after.
//
//	iptables -A OUTPUT -p tcp --dport 443 -j NFQUEUE --queue-num 0 --queue-bypass
//	go build && sudo ./blocksni ads.example
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"log"
	"net"
	"os"
	"os/signal"
	"slices"

	"github.com/chifflier/nfqueue-go"
)

// hello is the beginning of a connection, as far as it was seen.
type hello struct {
	next    uint32 // sequence number behind data
	data    []byte
	blocked bool
}

// blocker is a handler.
type blocker struct {
	names  []string
	hellos map[nfqueue.Flow]*hello
}

const maxHello, maxHellos = 16 << 10, 10000 // bytes, connections

// ServePacket implements nfqueue.Handler.
func (b *blocker) ServePacket(p *nfqueue.Packet) nfqueue.Verdict {
	flow, _ := p.Flow()
	segment, ok := p.Transport()
	if !ok || segment.Protocol != nfqueue.TCP || len(segment.Body) == 0 {
		return nfqueue.Accept
	}
	seq, data := binary.BigEndian.Uint32(segment.Header[4:]), segment.Body
	h := b.hellos[flow]
	if h == nil && data[0] != 22 { // no handshake record
		return nfqueue.Accept
	}
	if len(b.hellos) == maxHellos {
		clear(b.hellos)
	}
	if h == nil {
		h = &hello{next: seq}
		b.hellos[flow] = h
	}
	switch ahead := int(int32(seq - h.next)); {
	case h.blocked || ahead > 0: // what is missing between will be sent again, and this too
		return nfqueue.Drop
	default:
		data = data[min(-ahead, len(data)):] // without what was seen before
	}
	whole := slices.Concat(h.data, data)
	name, complete := serverName(whole)
	switch {
	case complete && slices.Contains(b.names, name):
		log.Printf("blocked %s for %v", name, flow.Src)
		h.blocked = true
		return nfqueue.Drop
	case complete || len(whole) > maxHello:
		delete(b.hellos, flow)
	default:
		h.data, h.next = whole, h.next+uint32(len(data))
	}
	return nfqueue.Accept
}

// serverName has crypto/tls read a Client Hello.
func serverName(b []byte) (name string, complete bool) {
	_ = tls.Server(recording{seen: bytes.NewReader(b)}, &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		name, complete = h.ServerName, true
		return nil, errors.New("seen enough")
	}}).Handshake()
	return name, complete
}

// recording is the beginning of a connection.
type recording struct {
	net.Conn // nil, for the methods that are not called
	seen     *bytes.Reader
}

func (r recording) Read(b []byte) (int, error)  { return r.seen.Read(b) }
func (r recording) Write(b []byte) (int, error) { return len(b), nil }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	b := &blocker{names: os.Args[1:], hellos: make(map[nfqueue.Flow]*hello)}
	if err := nfqueue.Run(ctx, nfqueue.Config{Queue: 0}, b); err != nil {
		log.Fatal(err)
	}
}
