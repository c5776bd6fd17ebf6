// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"net/netip"

	"github.com/chifflier/nfqueue-go/conntrack"
	"github.com/chifflier/nfqueue-go/internal/ippkt"
	"github.com/chifflier/nfqueue-go/internal/nfqmsg"
)

// Protocol is the number of an upper-layer protocol, from the IANA registry: the Protocol of an
// IPv4 header, or the last Next Header of the IPv6 extension headers. String returns its name as
// nft and iptables write it, and HasPorts reports whether its header begins with two ports.
type Protocol = ippkt.Protocol

// Protocols whose header Packet.Transport finds, by the names of linux/in.h and linux/in6.h without
// IPPROTO_. Other numbers are valid too.
const (
	ICMP    = ippkt.ICMP    // 1
	IGMP    = ippkt.IGMP    // 2
	TCP     = ippkt.TCP     // 6
	UDP     = ippkt.UDP     // 17
	DCCP    = ippkt.DCCP    // 33
	GRE     = ippkt.GRE     // 47
	ESP     = ippkt.ESP     // 50
	AH      = ippkt.AH      // 51, in IPv6 an extension header
	ICMPv6  = ippkt.ICMPv6  // 58
	SCTP    = ippkt.SCTP    // 132
	UDPLite = ippkt.UDPLite // 136
)

// Flow identifies the conversation that a packet belongs to, and the direction, by what its headers
// say. It is comparable, and may be the key of a map. Fields that do not apply are zero.
type Flow struct {
	// Src and Dst are the addresses of the IP header.
	Src, Dst netip.Addr
	// SrcPort and DstPort are those of TCP, UDP, UDP-Lite, SCTP and DCCP.
	SrcPort, DstPort uint16
	// ICMPID is the identifier of an ICMP or ICMPv6 query.
	ICMPID uint16
	// ICMPType and ICMPCode are those of ICMP and ICMPv6.
	ICMPType, ICMPCode uint8
	// Protocol is that of the transport header, behind any IPv6 extension headers.
	Protocol Protocol
	// Fragment means that the packet is one of several fragments.
	Fragment bool
	// NoTransport means that ports and ICMP fields are not known: the packet is a later fragment,
	// or was truncated.
	NoTransport bool
}

// HasPorts reports whether SrcPort and DstPort were read.
func (f Flow) HasPorts() bool { return ippkt.Flow(f).HasPorts() }

// SrcAddrPort returns Src and SrcPort.
func (f Flow) SrcAddrPort() netip.AddrPort { return ippkt.Flow(f).SrcAddrPort() }

// DstAddrPort returns Dst and DstPort.
func (f Flow) DstAddrPort() netip.AddrPort { return ippkt.Flow(f).DstAddrPort() }

// String returns protocol, source and destination, and what else was read:
// "tcp 192.0.2.1:1024 > 192.0.2.2:80", "icmp 192.0.2.1 > 192.0.2.2 type 8 code 0 id 1",
// "udp 192.0.2.1 > 192.0.2.2 fragment".
func (f Flow) String() string { return ippkt.Flow(f).String() }

// Reverse returns the flow of the packets in the other direction. It exchanges the types of ICMP
// queries and replies.
func (f Flow) Reverse() Flow { return Flow(ippkt.Flow(f).Reverse()) }

// Tuple returns the flow as the tuple of a connection in the default zone, to compare with a
// conntrack.Entry.
func (f Flow) Tuple() conntrack.Tuple {
	return conntrack.Tuple{
		Src: f.Src, Dst: f.Dst, SrcPort: f.SrcPort, DstPort: f.DstPort,
		ICMPID: f.ICMPID, ICMPType: f.ICMPType, ICMPCode: f.ICMPCode, Protocol: f.Protocol,
	}
}

// Hash returns a number that is the same for both directions, and for all fragments of a
// datagram. It differs from process to process.
func (f Flow) Hash() uint64 { return ippkt.Flow(f).Hash() }

// Flow returns the addresses, protocol and ports of the packet in its current form. It reports
// false without a readable IP header, as with CopyMeta, and true for a flow with NoTransport. It
// allocates nothing.
func (p *Packet) Flow() (f Flow, ok bool) {
	if !p.isIP() {
		return Flow{}, false
	}
	flow, err := ippkt.FlowOf(p.payload)
	return Flow(flow), err == nil || flow.Src.IsValid()
}

// QuotedFlow returns the flow of the packet that an ICMP or ICMPv6 error quotes.
func (p *Packet) QuotedFlow() (f Flow, ok bool) {
	if !p.isIP() {
		return Flow{}, false
	}
	flow, ok := ippkt.QuotedFlow(p.payload)
	return Flow(flow), ok
}

// Transport is the transport header of a packet and what follows it, in place.
type Transport struct {
	// Header is the transport header with its options: 8 bytes for UDP, UDP-Lite, ICMP, ICMPv6 and
	// ESP, 20 to 60 for TCP. It is empty for protocols without a constant in this package.
	Header []byte

	// Body is what follows the header, without the padding of the link layer. For UDP it ends where
	// the UDP header says. In a fragment other than the first, Body is the piece of the datagram
	// that the fragment carries, from FragmentOffset on.
	Body []byte

	// FragmentOffset is where a fragment belongs in its datagram, in bytes from the first byte
	// behind the IP headers. It is 0 in the first fragment.
	FragmentOffset int

	// Protocol is that of the header. In an IPv6 fragment other than the first it may be an
	// extension header.
	Protocol Protocol

	// Fragment means that the packet is one of several fragments, and Body a piece of the data.
	Fragment bool

	// Truncated means that the kernel did not copy the end of Body, or of the header. A larger copy
	// range helps, see Config.
	Truncated bool
}

// Transport returns the transport header of the packet in its current form, and the body behind
// it. It skips IPv4 options and the IPv6 extension headers that the kernel skips. It reports
// false if the packet does not contain the whole header. Header is then nil, and the other fields
// say why. With a FragmentOffset the packet is a later fragment. With Truncated the header was not
// copied, as with CopyMeta. Otherwise the headers state impossible lengths, or the packet is not
// IP.
//
// Header and Body are parts of Payload. They may be changed in place before a call of SetPayload or
// SetBody. They are valid until the handler returns. Transport allocates nothing.
func (p *Packet) Transport() (t Transport, ok bool) {
	l, ok := p.transport()
	t = Transport{
		FragmentOffset: l.FragmentOffset,
		Protocol:       l.Protocol,
		Fragment:       l.Fragment(),
		Truncated:      l.Cut,
	}
	if ok {
		t.Header = p.payload[l.TransportHeaderOffset:l.BodyOffset:l.BodyOffset]
	}
	if ok || l.BodyEnd > l.BodyOffset {
		t.Body = p.payload[l.BodyOffset:l.BodyEnd]
	}
	return t, ok
}

// transport says where the transport header and the body are in the payload.
func (p *Packet) transport() (t ippkt.Transport, ok bool) {
	if !p.isIP() {
		return t, false
	}
	p.rememberOriginal()
	return ippkt.FindTransport(p.payload, p.Truncated() || !p.attrs.Has(nfqmsg.AttrPayload))
}

// ipVersion returns 4 or 6, or 0 for other protocols, which the bridge family queues too.
func (p *Packet) ipVersion() byte {
	switch {
	case p.family == FamilyIPv4, p.family == FamilyBridge && p.proto == etherTypeIPv4:
		return 4
	case p.family == FamilyIPv6, p.family == FamilyBridge && p.proto == etherTypeIPv6:
		return 6
	}
	return 0
}

// isIP reports whether the payload starts with an IP header.
func (p *Packet) isIP() bool { return p.ipVersion() != 0 }
