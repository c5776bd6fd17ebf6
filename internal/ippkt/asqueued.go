// SPDX-License-Identifier: GPL-2.0-or-later

package ippkt

import (
	"encoding/binary"
)

// PartialChecksumInside reports whether a checksum of packet b that the kernel has yet to complete
// (CHECKSUM_PARTIAL) belongs to a packet that b carries through a tunnel. l is the layout of b.
// segments says that b is a GSO super-packet. The kernel does not say where the checksum is, but
//
//   - it knows of nothing inside TCP and SCTP;
//   - UDP whose own checksum is partial has the sum of the pseudo-header in it (udp_set_csum of
//     net/ipv4/udp.c), and a tunnel over UDP none, or a whole one (lco_csum of linux/skbuff.h);
//   - other protocols have no partial checksum of their own.
func (l *Layout) PartialChecksumInside(b []byte, segments bool) bool {
	if l.Fragment() {
		return true
	}
	switch l.Protocol {
	case TCP, SCTP:
		return false
	case UDP:
		h := b[l.TransportHeaderOffset:l.Len]
		return len(h) < udpHeaderLen || !l.partialUDP(b, h, segments)
	}
	return true
}

// partialUDP reports whether the checksum of the UDP datagram h in packet b is a sum of its
// pseudo-header.
func (l *Layout) partialUDP(b, h []byte, segments bool) bool {
	field := binary.BigEndian.Uint16(h[6:8])
	sum, err := pseudoHeader(l, b, len(h))
	if err == nil && field == Fold(sum) {
		return true
	}
	if l.Version == 4 {
		// Linux sums up the next hop of a source route, not its final destination (udp_send_skb).
		src, dst := [4]byte(b[12:16]), [4]byte(b[16:20])
		if field == Fold(PseudoIPv4(src, dst, UDP, uint32(len(h)))) {
			return true
		}
	}
	if err != nil || !segments {
		return false
	}
	// A super-packet that GRO put together as a list (rx-gro-list) has the sum of its first
	// datagram, and at most 64 of that length (UDP_GRO_CNT_MAX). A tunnel's packets that GRO put
	// together have the whole checksum of the first one, which may look the same.
	sum, _ = pseudoHeader(l, b, 0)
	n := (int(field) + maxUint16 - int(Fold(sum))%maxUint16) % maxUint16
	data, first := len(h)-udpHeaderLen, n-udpHeaderLen
	return 0 < first && first < data && data <= 64*first && !carriesPacket(h[udpHeaderLen:])
}

// carriesPacket reports whether b ends with an IP packet, behind no more than the headers of a
// tunnel.
func carriesPacket(b []byte) bool {
	const headers = 8 + 63*4 + 14 + 2*4 // of GENEVE with all options, and of Ethernet with VLAN tags
	for off := 0; off <= headers && len(b)-off >= ipv4HeaderLen; off++ {
		p := b[off:]
		n := 0
		switch p[0] >> 4 {
		case 4:
			n = int(binary.BigEndian.Uint16(p[2:4]))
		case 6:
			n = ipv6HeaderLen + int(binary.BigEndian.Uint16(p[4:6]))
		}
		if n == len(p) {
			return true
		}
	}
	return false
}

// UDPSurplus reports whether packet b, whose layout l is, has bytes behind the datagram that its
// UDP header states (the surplus area of RFC 9868).
func (l *Layout) UDPSurplus(b []byte) bool {
	if l.Protocol != UDP || l.Fragment() {
		return false
	}
	h := b[l.TransportHeaderOffset:l.Len]
	return len(h) >= udpHeaderLen && udpLength(h) > 0
}

// ParsedLen returns the length of the headers of packet b that the kernel's IP layer parses before
// its hooks: the IPv4 header with options, or the IPv6 header with Hop-by-Hop Options
// (ipv6_parse_hopopts). It is 0 for other packets.
func ParsedLen(b []byte) int {
	switch {
	case len(b) == 0:
	case b[0]>>4 == 4:
		return int(b[0]&0xf) * 4
	case b[0]>>4 != 6:
	case len(b) > ipv6HeaderLen+1 && Protocol(b[6]) == hopByHopOptions:
		return ipv6HeaderLen + (int(b[ipv6HeaderLen+1])+1)*8
	default:
		return ipv6HeaderLen
	}
	return 0
}
