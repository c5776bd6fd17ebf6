// SPDX-License-Identifier: GPL-2.0-or-later

package packetview

import (
	"net/netip"
	"strings"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/inspect"
	"github.com/chifflier/nfqueue-go/inspect/dnsquestion"
	"github.com/chifflier/nfqueue-go/internal/ippkt"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// decoded is what can be read in a packet. The tags are for JSON.
type decoded struct {
	Version  uint8  `json:"ip_version,omitempty"`
	Src      string `json:"src,omitempty"`
	Dst      string `json:"dst,omitempty"`
	Protocol string `json:"protocol,omitempty"`
	SrcPort  uint16 `json:"sport,omitempty"`
	DstPort  uint16 `json:"dport,omitempty"`
	Fragment *frag  `json:"fragment,omitempty"`
	TCP      *tcp   `json:"tcp,omitempty"`
	ICMP     *icmp  `json:"icmp,omitempty"`
	DNS      *dns   `json:"dns,omitempty"`
	TLS      *tls   `json:"tls,omitempty"`
	QUIC     *tls   `json:"quic,omitempty"`
	HTTP     string `json:"http,omitempty"` // request or status line
	Problem  string `json:"problem,omitempty"`

	layout ippkt.Layout
	length int // of what the transport protocol carries, with what was not copied
}

type frag struct {
	ID     uint32 `json:"id"`
	Offset int    `json:"offset"`
	More   bool   `json:"more"`
}

// decodeRecord reads the packet of a record if the kernel, or the link layer of a capture, says that
// it is an IP packet. Others may begin with a byte that looks like the version of one.
func decodeRecord(r *Record) *decoded {
	isIP := r.Family == nfqueue.FamilyIPv4 || r.Family == nfqueue.FamilyIPv6 ||
		r.EtherType == 0x0800 || r.EtherType == 0x86dd
	if r.LinkType != "" || !isIP {
		return new(decoded)
	}
	return decode(r.Data, r.Length)
}

// decode reads a packet that starts with its IP header, of which length bytes were on the wire.
func decode(data []byte, length int) (d *decoded) {
	d = new(decoded)
	// The decoders meet what anybody sends; a fault of theirs costs the details of one packet.
	defer func() {
		if recover() != nil {
			d.Problem = "not understood"
		}
	}()
	var err error
	d.layout, err = ippkt.Parse(data)
	d.Version = d.layout.Version
	if d.Version == 0 {
		d.Problem = err.Error()
		return d
	}
	flow, _ := ippkt.FlowOf(data)
	d.Src, d.Dst = flow.Src.String(), flow.Dst.String()
	d.Protocol = protocolName(flow.Protocol)
	if err != nil {
		d.Problem = err.Error()
		return d
	}
	if flow.Fragment {
		d.Fragment = &frag{d.layout.ID, d.layout.FragmentOffset, d.layout.MoreFragments}
	}
	whole := d.layout.TotalLen
	if whole == 0 { // BIG TCP
		whole = length
	}
	d.length = max(whole-d.layout.TransportHeaderOffset, 0)
	if d.layout.FragmentOffset > 0 {
		return d
	}
	d.SrcPort, d.DstPort = flow.SrcPort, flow.DstPort
	d.transport(data)
	return d
}

const cut = "the packet ends inside its header"

// transport reads the transport header of a packet and what follows.
func (d *decoded) transport(packet []byte) {
	t, whole := ippkt.FindTransport(packet, false)
	header, body := packet[t.TransportHeaderOffset:t.BodyOffset], packet[t.BodyOffset:t.BodyEnd]
	switch t.Protocol {
	case ippkt.TCP:
		var h layers.TCP
		if !whole || h.DecodeFromBytes(header, gopacket.NilDecodeFeedback) != nil {
			d.Problem = cut
			return
		}
		d.TCP = newTCP(&h)
		d.length = max(d.length-len(header), 0)
		d.stream(body)
	case ippkt.UDP:
		if !whole {
			d.Problem = cut
			return
		}
		d.length = max(d.length-len(header), 0)
		if d.hasPort(53) || d.hasPort(5353) {
			d.DNS = newDNS(body)
		} else {
			d.QUIC = newQUIC(body)
		}
	case ippkt.ICMP:
		d.ICMP = newICMPv4(packet[t.TransportHeaderOffset:t.Len])
	case ippkt.ICMPv6:
		d.ICMP = newICMPv6(packet[t.TransportHeaderOffset:t.Len])
	}
	if d.ICMP == nil && (t.Protocol == ippkt.ICMP || t.Protocol == ippkt.ICMPv6) {
		d.Problem = cut
	}
}

// stream looks for the beginning of a known protocol in what a TCP segment carries.
func (d *decoded) stream(b []byte) {
	switch {
	case len(b) == 0:
	case d.hasPort(53):
		if _, n, status := dnsquestion.ParseStream(b); status != inspect.More && n > 0 {
			d.DNS = newDNS(b[2:n])
		}
	default:
		if d.TLS = newTLS(b); d.TLS == nil {
			d.HTTP = httpLine(b)
		}
	}
}

func (d *decoded) hasPort(port uint16) bool { return d.SrcPort == port || d.DstPort == port }

// end returns an address, with the port if there is one.
func end(addr string, port uint16) string {
	a, err := netip.ParseAddr(addr)
	if port == 0 || err != nil {
		return addr
	}
	return netip.AddrPortFrom(a, port).String()
}

func (d *decoded) number() layers.IPProtocol { return layers.IPProtocol(d.layout.Protocol) }

func protocolName(number ippkt.Protocol) string {
	return strings.ToLower(ianaName(layers.IPProtocol(number)))
}
