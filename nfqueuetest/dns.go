// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueuetest

import (
	"errors"
	"net/netip"
	"strings"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/ippkt"
	"golang.org/x/net/dns/dnsmessage"
)

// DNSType is the type of a DNS record, by its number in the IANA registry "Domain Name System (DNS)
// Parameters".
type DNSType uint16

// Some types of DNS records.
const (
	DNSTypeA     DNSType = 1
	DNSTypeNS    DNSType = 2
	DNSTypeCNAME DNSType = 5
	DNSTypeSOA   DNSType = 6
	DNSTypePTR   DNSType = 12
	DNSTypeMX    DNSType = 15
	DNSTypeTXT   DNSType = 16
	DNSTypeAAAA  DNSType = 28
	DNSTypeSRV   DNSType = 33
	DNSTypeHTTPS DNSType = 65
)

// DNSQuery makes a UDP packet that asks a DNS server for the records of a type that a name has. The
// name may end with a dot. DNSQuery panics if it is no domain name.
func DNSQuery(src, dst netip.AddrPort, id uint16, name string, typ DNSType) []byte {
	full, err := dnsmessage.NewName(strings.TrimSuffix(name, ".") + ".")
	must(err)
	return UDP(src, dst, pack(dnsmessage.Message{
		Header: dnsmessage.Header{ID: id, RecursionDesired: true},
		Questions: []dnsmessage.Question{
			{Name: full, Type: dnsmessage.Type(typ), Class: dnsmessage.ClassINET},
		},
	}))
}

// DNSResponse makes the UDP packet that answers a packet of DNSQuery: with an A or AAAA record for
// each address, or that the name does not exist if there is none. It panics if query is not such a
// packet.
func DNSResponse(query []byte, answers ...netip.Addr) []byte {
	flow, err := ippkt.FlowOf(query)
	must(err)
	t, ok := ippkt.FindTransport(query, false)
	if !ok || flow.Protocol != nfqueue.UDP {
		must(errors.New("not a DNS query over UDP"))
	}
	var m dnsmessage.Message
	must(m.Unpack(query[t.BodyOffset:t.BodyEnd]))
	if len(m.Questions) == 0 {
		must(errors.New("a DNS message without a question"))
	}
	m.Response, m.RecursionAvailable = true, true
	if len(answers) == 0 {
		m.RCode = dnsmessage.RCodeNameError
	}
	for _, a := range answers {
		r := dnsmessage.Resource{Header: dnsmessage.ResourceHeader{
			Name: m.Questions[0].Name, Class: dnsmessage.ClassINET, TTL: 300,
		}}
		if a.Is4() {
			r.Body = &dnsmessage.AResource{A: a.As4()}
		} else {
			r.Body = &dnsmessage.AAAAResource{AAAA: a.As16()}
		}
		m.Answers = append(m.Answers, r)
	}
	return UDP(
		netip.AddrPortFrom(flow.Dst, flow.DstPort), netip.AddrPortFrom(flow.Src, flow.SrcPort), pack(m),
	)
}

func pack(m dnsmessage.Message) []byte {
	b, err := m.Pack()
	must(err)
	return b
}
