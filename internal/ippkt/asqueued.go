// SPDX-License-Identifier: GPL-2.0-or-later

package ippkt

import (
	"encoding/binary"

	"github.com/chifflier/nfqueue-go/internal/checksum"
)

// PartialChecksumInside reports whether a checksum of packet b that the kernel has yet to
// complete (CHECKSUM_PARTIAL) is that of a packet which b carries through a tunnel. L is
// the layout of b. The kernel does not tell where the checksum is; but
//
//   - there is nothing inside TCP and SCTP of which it would know;
//   - UDP whose own checksum is partial has the sum of the pseudo-header in it
//     (udp_set_csum of net/ipv4/udp.c), and a tunnel over UDP none, or a whole one
//     (lco_csum of linux/skbuff.h);
//   - other protocols have no partial checksum of their own.
func (l *Layout) PartialChecksumInside(b []byte) bool {
	if l.Fragment() {
		return true
	}
	switch l.Protocol {
	case TCP, SCTP:
		return false
	case UDP:
		h := b[l.TransportHeaderOffset:l.Len]
		if len(h) < udpHeaderLen {
			return true
		}
		sum, err := pseudoHeader(l, b, len(h))
		return err != nil || binary.BigEndian.Uint16(h[6:8]) != checksum.Fold(sum)
	}
	return true
}

// UDPSurplus reports whether packet b, whose layout l is, has bytes behind the datagram that the length in
// its UDP header bounds (the surplus area of RFC 9868).
func (l *Layout) UDPSurplus(b []byte) bool {
	if l.Protocol != UDP || l.Fragment() {
		return false
	}
	h := b[l.TransportHeaderOffset:l.Len]
	return len(h) >= udpHeaderLen && udpLength(h) > 0
}

// ParsedLen returns how far the kernel's IP layer has gone through the headers of packet b before its hooks: the
// length of the IPv4 header with options, or of the IPv6 header with Hop-by-Hop Options (ipv6_parse_hopopts);
// 0 for what is neither.
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
