// SPDX-License-Identifier: GPL-2.0-or-later

// Command dnsrewrite puts an address of yours into the DNS answers for a name:
//
//	iptables -A INPUT -p udp --sport 53 -j NFQUEUE --queue-num 0 --queue-bypass
//	go build && sudo ./dnsrewrite www.example.org 192.0.2.80
package main

import (
	"context"
	"fmt"
	"log"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/chifflier/nfqueue-go"
	"golang.org/x/net/dns/dnsmessage"
)

// rewriter is a handler.
type rewriter struct {
	name string // with a dot at its end
	addr netip.Addr
}

// ServePacket implements nfqueue.Handler.
func (r *rewriter) ServePacket(p *nfqueue.Packet) nfqueue.Verdict {
	flow, _ := p.Flow()
	datagram, ok := p.Transport()
	if !ok || datagram.Protocol != nfqueue.UDP || datagram.Fragment || flow.SrcPort != 53 {
		return nfqueue.Accept
	}
	answer, ok := r.rewrite(datagram.Body)
	if !ok {
		return nfqueue.Accept
	}
	// The answer may have another length: SetBody sets lengths and checksums.
	if err := p.SetBody(answer); err != nil {
		log.Print(err)
		return nfqueue.Drop
	}
	log.Printf("%s is %v for %v", r.name, r.addr, flow.Dst)
	return nfqueue.Accept
}

// rewrite returns another answer if it is one to change.
func (r *rewriter) rewrite(answer []byte) (b []byte, changed bool) {
	var m dnsmessage.Message
	if m.Unpack(answer) != nil || !m.Response {
		return nil, false
	}
	for i := range m.Answers {
		a := &m.Answers[i]
		if !strings.EqualFold(a.Header.Name.String(), r.name) {
			continue
		}
		switch body := a.Body.(type) {
		case *dnsmessage.AResource:
			if r.addr.Is4() {
				body.A, changed = r.addr.As4(), true
			}
		case *dnsmessage.AAAAResource:
			if r.addr.Is6() {
				body.AAAA, changed = r.addr.As16(), true
			}
		}
	}
	b, err := m.Pack()
	return b, changed && err == nil
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: dnsrewrite NAME ADDRESS")
		os.Exit(2)
	}
	addr, err := netip.ParseAddr(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	r := &rewriter{name: strings.TrimSuffix(os.Args[1], ".") + ".", addr: addr}
	if err := nfqueue.Run(ctx, nfqueue.Config{Queue: 0}, r); err != nil {
		log.Fatal(err)
	}
}
