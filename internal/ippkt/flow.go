// SPDX-License-Identifier: GPL-2.0-or-later

package ippkt

import (
	"encoding/binary"
	"net/netip"
	"strconv"
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
	Protocol Protocol

	// Fragment says that the packet is part of a fragmented datagram.
	Fragment bool

	// NoTransport says that the packet has no readable transport header, because
	// it is a fragment other than the first, or was cut. Ports and ICMP fields
	// are zero then because they are unknown.
	NoTransport bool
}

// HasPorts reports whether SrcPort and DstPort are known.
func (f Flow) HasPorts() bool { return f.Protocol.HasPorts() && !f.NoTransport }

// Ends returns source and destination as text: the address, with the port if known.
func (f Flow) Ends() (source, destination string) {
	if f.HasPorts() || f.SrcPort|f.DstPort != 0 {
		return f.SrcAddrPort().String(), f.DstAddrPort().String()
	}
	return f.Src.String(), f.Dst.String()
}

// SrcAddrPort returns Src and SrcPort.
func (f Flow) SrcAddrPort() netip.AddrPort { return netip.AddrPortFrom(f.Src, f.SrcPort) }

// DstAddrPort returns Dst and DstPort.
func (f Flow) DstAddrPort() netip.AddrPort { return netip.AddrPortFrom(f.Dst, f.DstPort) }

// String returns protocol, source and destination, and what else is known:
// "tcp 192.0.2.1:1024 > 192.0.2.2:80", "icmp 192.0.2.1 > 192.0.2.2 type 8 code 0
// id 1", "udp 192.0.2.1 > 192.0.2.2 fragment".
func (f Flow) String() string {
	if !f.Src.IsValid() {
		return "no IP packet"
	}
	src, dst := f.Ends()
	s := f.Protocol.String() + " " + src + " > " + dst
	if f.Protocol.isICMP(f.version()) && !f.NoTransport {
		s += " type " + strconv.Itoa(int(f.ICMPType)) + " code " + strconv.Itoa(int(f.ICMPCode))
		if _, query := icmpInverse(f.Protocol, f.ICMPType); query {
			s += " id " + strconv.Itoa(int(f.ICMPID))
		}
	}
	if f.Fragment {
		s += " fragment"
	}
	return s
}

// Reverse returns the flow of the packets that answer: addresses and ports
// swapped and, as connection tracking does it, the type of an ICMP query turned
// into that of its reply, or back.
func (f Flow) Reverse() Flow {
	f.Src, f.Dst = f.Dst, f.Src
	f.SrcPort, f.DstPort = f.DstPort, f.SrcPort
	if f.Protocol.isICMP(f.version()) && !f.NoTransport {
		f.ICMPType, _ = icmpInverse(f.Protocol, f.ICMPType)
	}
	return f
}

// version returns the IP version of the addresses.
func (f *Flow) version() uint8 {
	if f.Src.Is6() {
		return 6
	}
	return 4
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
	case l.Protocol.HasPorts():
		if len(h) < 4 {
			f.NoTransport = true
			return
		}
		f.SrcPort = binary.BigEndian.Uint16(h[0:2])
		f.DstPort = binary.BigEndian.Uint16(h[2:4])
	case l.Protocol.isICMP(l.Version):
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
