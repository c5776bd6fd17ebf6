// SPDX-License-Identifier: GPL-2.0-or-later

package packetview

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// dns is a DNS message (RFC 1035).
type dns struct {
	ID        uint16        `json:"id"`
	Response  bool          `json:"response"`
	Recursion bool          `json:"recursion_desired"`
	Code      string        `json:"rcode,omitempty"`
	Questions []dnsQuestion `json:"questions,omitempty"`
	Answers   []dnsAnswer   `json:"answers,omitempty"`
}

type dnsQuestion struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

type dnsAnswer struct {
	Name string `json:"name"`
	Type string `json:"type"`
	Data string `json:"data,omitempty"`
}

// newDNS returns nil if b is not a whole DNS message.
func newDNS(b []byte) *dns {
	var m layers.DNS
	if m.DecodeFromBytes(b, gopacket.NilDecodeFeedback) != nil {
		return nil
	}
	d := &dns{ID: m.ID, Response: m.QR, Recursion: m.RD}
	if m.QR {
		d.Code = responseCode(m.ResponseCode)
	}
	for _, q := range m.Questions {
		d.Questions = append(d.Questions, dnsQuestion{domain(q.Name), dnsType(q.Type)})
	}
	for _, a := range m.Answers {
		d.Answers = append(d.Answers, dnsAnswer{domain(a.Name), dnsType(a.Type), dnsData(&a)})
	}
	return d
}

// domain returns a name with the dot of the root.
func domain(name []byte) string { return printable(name) + "." }

func dnsType(t layers.DNSType) string {
	if s := t.String(); !strings.HasPrefix(s, "Unknown") {
		return s
	}
	return fmt.Sprintf("TYPE%d", t) // RFC 3597
}

// responseCodes are those that tcpdump names, by their number in RFC 1035 and RFC 2136.
var responseCodes = []string{"NoError", "FormErr", "ServFail", "NXDomain", "NotImp", "Refused"}

func responseCode(c layers.DNSResponseCode) string {
	if int(c) < len(responseCodes) {
		return responseCodes[c]
	}
	return fmt.Sprintf("RCode%d", c)
}

func dnsData(a *layers.DNSResourceRecord) string {
	switch a.Type {
	case layers.DNSTypeA, layers.DNSTypeAAAA:
		ip, _ := netip.AddrFromSlice(a.IP)
		return ip.String()
	case layers.DNSTypeCNAME:
		return domain(a.CNAME)
	case layers.DNSTypeNS:
		return domain(a.NS)
	case layers.DNSTypePTR:
		return domain(a.PTR)
	case layers.DNSTypeMX:
		return fmt.Sprintf("%s %d", domain(a.MX.Name), a.MX.Preference)
	case layers.DNSTypeSRV:
		return fmt.Sprintf("%s:%d", domain(a.SRV.Name), a.SRV.Port)
	case layers.DNSTypeTXT:
		var texts []string
		for _, t := range a.TXTs {
			texts = append(texts, `"`+printable(t)+`"`)
		}
		return strings.Join(texts, " ")
	}
	return ""
}

// text describes a query as tcpdump does, "4660+ A? example.com.", and a response
// with its answers.
func (d *dns) text() string {
	s := fmt.Sprintf("DNS %d", d.ID)
	if d.Recursion && !d.Response {
		s += "+"
	}
	for i, q := range d.Questions {
		if i > 0 {
			s += ","
		}
		s += fmt.Sprintf(" %s? %s", q.Type, q.Name)
	}
	if !d.Response {
		return s
	}
	s += " = "
	if d.Code != "NoError" || len(d.Answers) == 0 {
		return s + d.Code
	}
	var answers []string
	for _, a := range d.Answers {
		answers = append(answers, strings.TrimSuffix(a.Type+" "+a.Data, " "))
	}
	return s + strings.Join(answers, ", ")
}
