// SPDX-License-Identifier: GPL-2.0-or-later

package ippkt

import "encoding/binary"

// Transport says where the upper-layer header of a packet is, and what follows it.
type Transport struct {
	Layout
	// BodyOffset is the first byte behind the header. Without a header it is
	// TransportHeaderOffset.
	BodyOffset int
	// BodyEnd is the first byte that is no part of the body. It is less than Len
	// where a UDP header states a length that is less than there is (RFC 9868).
	BodyEnd int
	// Cut says that bytes of the header or the body are missing at the end.
	Cut bool
}

// FindTransport finds the upper-layer header of the packet that b begins with, and
// reports whether all of it is there. It is not in a fragment other than the
// first, where the body is the piece of data that the fragment carries, and not
// in a packet that was cut before its end or that states an impossible length;
// the body is empty then. A protocol that Transport does not know has a header
// of no bytes.
//
// Cut says that b is not the whole packet. It only matters where the headers
// state no length.
func FindTransport(b []byte, cut bool) (t Transport, ok bool) {
	err := t.parse(b, false)
	t.Cut = t.TotalLen > t.Len || t.TotalLen == 0 && cut
	t.BodyOffset, t.BodyEnd = t.TransportHeaderOffset, t.TransportHeaderOffset
	if err != nil {
		return t, false
	}
	if t.FragmentOffset > 0 {
		t.BodyEnd = t.Len
		return t, false
	}
	h := b[t.TransportHeaderOffset:t.Len]
	n, ok := t.transportHeaderLen(h)
	if !ok || n > len(h) {
		return t, false
	}
	t.BodyOffset += n
	t.BodyEnd = t.Len
	if t.Protocol == UDP {
		if have := udpLength(h); have > 0 {
			t.BodyEnd = t.TransportHeaderOffset + have
			t.Cut = false
		}
	}
	return t, true
}

// transportHeaderLen returns the length of the upper-layer header that h begins with. It reports
// false when h ends before that can be known, or states what cannot be.
func (l *Layout) transportHeaderLen(h []byte) (n int, ok bool) {
	switch l.Protocol {
	case TCP: // RFC 9293 section 3.1: Data Offset, in 32-bit words
		if len(h) <= 12 {
			return 0, false
		}
		n = int(h[12]>>4) * 4
		return n, n >= 20
	case UDP, UDPLite:
		return udpHeaderLen, true
	case SCTP:
		return 12, true
	case DCCP: // RFC 4340 section 5.1: Data Offset, in 32-bit words
		if len(h) <= 4 {
			return 0, false
		}
		n = int(h[4]) * 4
		return n, n >= 12
	case ICMP, ICMPv6:
		if l.Protocol.isICMP(l.Version) {
			return icmpHeaderLen, true
		}
	case IGMP:
		if l.Version == 4 {
			return 8, true
		}
	case ESP:
		return 8, true
	case AH: // RFC 4302 section 2.2; in IPv6 an extension header
		if len(h) <= 1 {
			return 0, false
		}
		return (int(h[1]) + 2) * 4, true
	case GRE:
		return greHeaderLen(h)
	}
	return 0, true
}

// greHeaderLen returns the length of a GRE header of version 0 (RFC 2890) or 1
// (RFC 2637). It reports false with the routing of RFC 1701.
func greHeaderLen(h []byte) (n int, ok bool) {
	const checksum, routing, key, sequence, acknowledgment = 0x8000, 0x4000, 0x2000, 0x1000, 0x0080
	if len(h) < 2 {
		return 0, false
	}
	bits := binary.BigEndian.Uint16(h)
	version := bits & 7
	if bits&routing != 0 || version > 1 {
		return 0, false
	}
	n = 4
	for _, bit := range [...]uint16{checksum, key, sequence} {
		if bits&bit != 0 {
			n += 4
		}
	}
	if version == 1 && bits&acknowledgment != 0 {
		n += 4
	}
	return n, true
}
