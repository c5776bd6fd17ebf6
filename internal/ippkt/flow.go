// SPDX-License-Identifier: GPL-2.0-or-later

package ippkt

import (
	"encoding/binary"
	"net/netip"
)

// Flow is what tells the packets of one conversation, in one direction, from
// others. It is comparable: a map with Flow keys works. Two packets of one
// direction have equal flows unless one is a fragment or was cut. Fields that
// do not apply are zero.
type Flow struct {
	// Src and Dst are the addresses in the IP header. In the zero Flow, that of
	// anything but an IP packet, they are invalid.
	Src, Dst netip.Addr

	// SrcPort and DstPort are the ports of TCP, UDP, UDP-Lite, SCTP and DCCP in
	// host byte order. See [Flow.HasPorts].
	SrcPort, DstPort uint16

	// ICMPID is the identifier, in host byte order, of an ICMP or ICMPv6 query
	// or its reply: echo, extended echo, timestamp, information, address mask.
	ICMPID uint16

	// ICMPType and ICMPCode are those of an ICMP or ICMPv6 message.
	ICMPType, ICMPCode uint8

	// Protocol is the upper-layer protocol (IANA number), in IPv6 the one behind
	// the extension headers. In an IPv6 fragment that is not the first it may be
	// an extension header, because the rest of the headers is elsewhere.
	Protocol uint8

	// Fragment says that the packet is part of a fragmented datagram.
	Fragment bool

	// NoTransport says that the packet has no readable transport header, because
	// it is a fragment other than the first, or was cut. Ports and ICMP fields
	// are zero then because they are unknown.
	NoTransport bool
}

// HasPorts reports whether SrcPort and DstPort are known.
func (f Flow) HasPorts() bool { return hasPorts(f.Protocol) && !f.NoTransport }

// Ends returns source and destination as text: the address, with the port if known.
func (f Flow) Ends() (source, destination string) {
	end := func(a netip.Addr, port uint16) string {
		if f.HasPorts() {
			return netip.AddrPortFrom(a, port).String()
		}
		return a.String()
	}
	return end(f.Src, f.SrcPort), end(f.Dst, f.DstPort)
}

// Reverse returns the flow of the packets that answer: addresses and ports
// swapped and, as connection tracking does it, the type of an ICMP query turned
// into that of its reply, or back.
func (f Flow) Reverse() Flow {
	f.Src, f.Dst = f.Dst, f.Src
	f.SrcPort, f.DstPort = f.DstPort, f.SrcPort
	if hasICMP(f.Src.Is6(), f.Protocol) && !f.NoTransport {
		f.ICMPType, _ = icmpInverse(f.Protocol, f.ICMPType)
	}
	return f
}

func hasPorts(protocol uint8) bool {
	switch protocol {
	case protoTCP, protoUDP, protoUDPLite, protoSCTP, protoDCCP:
		return true
	}
	return false
}

func hasICMP(ipv6 bool, protocol uint8) bool {
	if ipv6 {
		return protocol == protoICMPv6
	}
	return protocol == protoICMP
}

// FlowOf returns the flow of the packet that b begins with. The packet may be
// cut. With an error, one of those of [Parse], the Flow holds what could be
// read; with [ErrNotIP] or less than a fixed IP header that is nothing.
func FlowOf(b []byte) (Flow, error) {
	l, err := Parse(b)
	var f Flow
	l.flow(&f, b, err == nil)
	return f, err
}

// QuotedFlow returns the flow of the packet that an ICMP or ICMPv6 error
// message quotes: one that its receiver has sent. It reports false when b does
// not begin with such a message or the quote has no readable IP header.
func QuotedFlow(b []byte) (Flow, bool) {
	l, err := Parse(b)
	if err != nil {
		return Flow{}, false
	}
	return l.quotedFlow(b)
}

func (l *Layout) quotedFlow(b []byte) (Flow, bool) {
	q := quoted(l, b)
	inner, err := Parse(q)
	if inner.Version != l.Version {
		return Flow{}, false
	}
	var f Flow
	inner.flow(&f, q, err == nil)
	return f, true
}

// flow sets f, a zero Flow, to that of b, of which l is the layout. Complete
// says that l was found without an error.
func (l *Layout) flow(f *Flow, b []byte, complete bool) {
	if l.Version == 0 {
		return
	}
	f.Protocol = l.Protocol
	f.Fragment = l.Fragment()
	if l.Version == 4 {
		f.Src = netip.AddrFrom4([4]byte(b[12:16]))
		f.Dst = netip.AddrFrom4([4]byte(b[16:20]))
	} else {
		f.Src = netip.AddrFrom16([16]byte(b[8:24]))
		f.Dst = netip.AddrFrom16([16]byte(b[24:40]))
	}
	if !complete || l.FragmentOffset > 0 {
		f.NoTransport = true
		return
	}
	h := b[l.TransportHeaderOffset:l.Len]
	switch {
	case hasPorts(l.Protocol):
		if len(h) < 4 {
			f.NoTransport = true
			return
		}
		f.SrcPort = binary.BigEndian.Uint16(h[0:2])
		f.DstPort = binary.BigEndian.Uint16(h[2:4])
	case hasICMP(l.Version == 6, l.Protocol):
		if len(h) < icmpHeaderLen {
			f.NoTransport = true
			return
		}
		f.ICMPType, f.ICMPCode = h[0], h[1]
		if _, ok := icmpInverse(l.Protocol, h[0]); ok {
			f.ICMPID = binary.BigEndian.Uint16(h[4:6])
		}
	}
}
