// SPDX-License-Identifier: GPL-2.0-or-later

package demo

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/chifflier/nfqueue-go"
	"golang.org/x/net/dns/dnsmessage"
)

// The server answers with one address, and the router replaces it: addresses for documentation.
var (
	realAddr = map[nfqueue.Family]netip.Addr{
		nfqueue.FamilyIPv4: netip.MustParseAddr("203.0.113.7"),
		nfqueue.FamilyIPv6: netip.MustParseAddr("2001:db8:3::7"),
	}
	falseAddr = map[nfqueue.Family]netip.Addr{
		nfqueue.FamilyIPv4: netip.MustParseAddr("203.0.113.99"),
		nfqueue.FamilyIPv6: netip.MustParseAddr("2001:db8:3::99"),
	}
)

// dns asks for an address and answers.
func (p *path) dns(ctx context.Context) error {
	server, err := p.listenUDP(ctx, dnsPort, p.flow(dnsQuery))
	if err != nil {
		return err
	}
	client, err := p.dialUDP(ctx, dnsPort, p.flow(dnsAnswer))
	if err != nil {
		return err
	}
	query, err := dnsMessage(p.family, netip.Addr{})
	if err != nil {
		return err
	}
	answer, err := dnsMessage(p.family, realAddr[p.family])
	if err != nil {
		return err
	}
	altered, err := dnsMessage(p.family, falseAddr[p.family])
	if err != nil {
		return err
	}
	p.flow(dnsQuery).send(query, query)
	if _, err := client.Write(query); err != nil {
		return err
	}
	from, err := receive(server, p.flow(dnsQuery))
	if err != nil {
		return err
	}
	p.flow(dnsAnswer).send(answer, replaced(p, answer, altered))
	if _, err := server.WriteToUDPAddrPort(answer, from); err != nil {
		return err
	}
	return p.fence()
}

// dnsMessage asks for the address of a host, or answers if there is one.
func dnsMessage(family nfqueue.Family, answer netip.Addr) ([]byte, error) {
	typ := dnsmessage.TypeA
	if family == nfqueue.FamilyIPv6 {
		typ = dnsmessage.TypeAAAA
	}
	name := dnsmessage.MustNewName("www.example.com.")
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 4711, Response: answer.IsValid()},
		Questions: []dnsmessage.Question{{Name: name, Type: typ, Class: dnsmessage.ClassINET}},
	}
	if answer.IsValid() {
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{
				Name:  name,
				Type:  typ,
				Class: dnsmessage.ClassINET,
				TTL:   60,
			},
			Body: resource(answer),
		}}
	}
	return m.Pack()
}

func resource(a netip.Addr) dnsmessage.ResourceBody {
	if a.Is4() {
		return &dnsmessage.AResource{A: a.As4()}
	}
	return &dnsmessage.AAAAResource{AAAA: a.As16()}
}

// replaceAnswer puts another address into an answer.
func replaceAnswer(p *nfqueue.Packet, v view) decision {
	var m dnsmessage.Message
	err := m.Unpack(v.packet[v.body:])
	if err == nil {
		for i := range m.Answers {
			m.Answers[i].Body = resource(falseAddr[p.Family()])
		}
		var packed []byte
		if packed, err = m.AppendPack(nil); err == nil {
			payload := append(v.packet[:v.body], packed...)
			return rewrite(p, payload, fmt.Sprintf("answer to %v", falseAddr[p.Family()]))
		}
	}
	return decision{verdict: nfqueue.Drop, what: err.Error()}
}
