// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"net/netip"

	"github.com/chifflier/nfqueue-go/internal/ippkt"
)

// Flow is what tells one conversation from another, read from a packet's headers. It
// is comparable, and may be the key of a map.
type Flow struct {
	// Src and Dst are the addresses of the IP header.
	Src, Dst netip.Addr
	// SrcPort and DstPort are those of TCP, UDP, UDP-Lite, SCTP and DCCP.
	SrcPort, DstPort uint16
	// ICMPID is the identifier of an ICMP or ICMPv6 query.
	ICMPID uint16
	// ICMPType and ICMPCode are those of ICMP and ICMPv6.
	ICMPType, ICMPCode uint8
	// Protocol is that of the transport header (IANA protocol numbers), behind any
	// IPv6 extension headers.
	Protocol uint8
	// Fragment means that the packet is one of several fragments.
	Fragment bool
	// NoTransport means that the packet does not hold the transport header: a later
	// fragment, or one cut short.
	NoTransport bool
}

// HasPorts reports whether SrcPort and DstPort were read.
func (f Flow) HasPorts() bool { return ippkt.Flow(f).HasPorts() }

// Reverse returns the flow of the packets in the other direction, with ICMP queries
// and replies exchanged.
func (f Flow) Reverse() Flow { return Flow(ippkt.Flow(f).Reverse()) }

// Hash returns a number that is equal for both directions, and for all fragments of
// one datagram. It differs from process to process.
func (f Flow) Hash() uint64 { return ippkt.Flow(f).Hash() }

// Flow returns the addresses, protocol and ports of the packet as it now is. It is
// false if there is no IP header to read, as with CopyMeta; a flow with NoTransport
// is true. Nothing is allocated.
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

// isIP reports whether the payload starts with an IP header: the bridge family
// queues other protocols too.
func (p *Packet) isIP() bool {
	return p.family != FamilyBridge || p.proto == etherTypeIPv4 || p.proto == etherTypeIPv6
}
