// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueuetest

import (
	"errors"
	"net/netip"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// DNSQuery makes a UDP packet that asks a DNS server for the records of a type, such as
// layers.DNSTypeA, that a name has.
func DNSQuery(src, dst netip.AddrPort, id uint16, name string, typ layers.DNSType) []byte {
	return udp(src, dst, &layers.DNS{
		ID: id, RD: true, OpCode: layers.DNSOpCodeQuery,
		Questions: []layers.DNSQuestion{{Name: []byte(name), Type: typ, Class: layers.DNSClassIN}},
	})
}

// DNSResponse makes the UDP packet that answers a packet which DNSQuery made: with an A
// or AAAA record for each address, or that the name does not exist if there is none.
func DNSResponse(query []byte, answers ...netip.Addr) []byte {
	first := layers.LayerTypeIPv4
	if len(query) > 0 && query[0]>>4 == 6 {
		first = layers.LayerTypeIPv6
	}
	p := gopacket.NewPacket(query, first, gopacket.Default)
	header, _ := p.TransportLayer().(*layers.UDP)
	question, _ := p.ApplicationLayer().(*layers.DNS)
	if header == nil || question == nil || len(question.Questions) == 0 {
		must(errors.New("not a DNS query over UDP"))
	}
	src, dst := p.NetworkLayer().NetworkFlow().Endpoints()
	r := &layers.DNS{
		ID: question.ID, QR: true, OpCode: question.OpCode, RD: question.RD, RA: true,
		Questions: question.Questions,
	}
	if len(answers) == 0 {
		r.ResponseCode = layers.DNSResponseCodeNXDomain
	}
	for _, a := range answers {
		typ := layers.DNSTypeA
		if a.Is6() {
			typ = layers.DNSTypeAAAA
		}
		r.Answers = append(r.Answers, layers.DNSResourceRecord{
			Name: question.Questions[0].Name, Type: typ, Class: layers.DNSClassIN, TTL: 300, IP: a.AsSlice(),
		})
	}
	return udp(endpoint(dst, uint16(header.DstPort)), endpoint(src, uint16(header.SrcPort)), r)
}

func endpoint(e gopacket.Endpoint, port uint16) netip.AddrPort {
	addr, _ := netip.AddrFromSlice(e.Raw())
	return netip.AddrPortFrom(addr, port)
}
