// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"log"
	"strings"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/connection"
	"github.com/chifflier/nfqueue-go/inspect"
	"github.com/chifflier/nfqueue-go/inspect/dnsquestion"
	"github.com/chifflier/nfqueue-go/inspect/tlshello"
)

// firewall drops what leads to blocked names, or names below them.
type firewall struct {
	blocked []string
	log     *log.Logger
	conns   *connection.Tracker
}

// newFirewall makes a firewall. Offload may be nil, as in tests.
func newFirewall(blocked []string, l *log.Logger, offload connection.Offload) *firewall {
	f := &firewall{blocked: blocked, log: l}
	// Packets pass as they come. What completes a blocked name is dropped, and all that follows.
	// The programs of this machine do not make segments themselves, so requests are enough.
	cfg := connection.Config{OneWay: true, Fallback: connection.Accept, Offload: offload}
	f.conns = connection.New(cfg, connection.HandlerFunc(f.serveConn))
	return f
}

// ServePacket decides a question over UDP by itself: a socket may send another one for
// another name. Everything else is decided by connections.
func (f *firewall) ServePacket(p *nfqueue.Packet) nfqueue.Verdict {
	flow, _ := p.Flow()
	if flow.Protocol != nfqueue.UDP || flow.DstPort != 53 {
		return f.conns.ServePacket(p)
	}
	t, _ := p.Transport()
	if q, status := dnsquestion.Parse(t.Body); status == inspect.Complete && f.blocks(q.Name()) {
		return nfqueue.Drop
	}
	return nfqueue.Accept
}

// serveConn decides a TCP connection.
func (f *firewall) serveConn(c *connection.Conn) connection.Answer {
	said := c.Bytes(connection.Original)
	if c.Flow().DstPort == 53 {
		for { // one question after the other
			q, n, status := dnsquestion.ParseStream(said)
			switch {
			case status == inspect.More:
				return connection.More
			case status == inspect.Complete && f.blocks(q.Name()):
				return connection.Drop
			case status != inspect.Complete:
				return connection.Accept
			}
			said = said[n:]
		}
	}
	hello, status := tlshello.Parse(said)
	switch {
	case status == inspect.More:
		return connection.More
	case status == inspect.Complete && f.blocks(string(hello.ServerName)):
		return connection.Drop
	}
	return connection.Accept
}

// blocks reports whether a name is blocked, or is below one that is.
func (f *firewall) blocks(name string) bool {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	for _, b := range f.blocked {
		if name == b || strings.HasSuffix(name, "."+b) {
			f.log.Println("blocked", name)
			return true
		}
	}
	return false
}
