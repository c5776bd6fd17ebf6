// SPDX-License-Identifier: GPL-2.0-or-later

package ippkt

import (
	"encoding/binary"
	"errors"
)

// Reasons why [Complete] finds no checksum that would make a packet valid.
var (
	ErrShortTransport = errors.New("the packet ends inside its transport header")
	ErrCoverage       = errors.New("the checksum coverage of the transport header is invalid " +
		"for the length of the packet")
)

const udpHeaderLen = 8

// transport says how the checksum of an upper-layer protocol is computed.
type transport struct {
	protocol Protocol
	field    int    // offset of the checksum in the transport header; 0 when there is none
	cover    int    // how many bytes from the transport header on it covers
	pseudo   uint64 // sum of the pseudo-header; 0 when there is none
	partial  bool   // the field is to have the sum of the pseudo-header only
}

// planTransport checks all that [transport.complete] relies on, and writes
// nothing. B is the whole packet.
func planTransport(l *Layout, b []byte, how How) (transport, error) {
	h := b[l.TransportHeaderOffset:]
	t := transport{protocol: l.Protocol, cover: len(h)}
	headerLen, pseudo := 0, true
	switch {
	case l.Protocol == TCP:
		headerLen, t.field = 20, 16
	case l.Protocol == UDP, l.Protocol == UDPLite:
		headerLen, t.field = udpHeaderLen, 6
	case l.Protocol == DCCP:
		headerLen, t.field = 12, 6
	case l.Protocol == SCTP:
		headerLen, t.field, pseudo = 12, 8, false
	case l.Protocol == ICMPv6 && l.Version == 6:
		headerLen, t.field = 4, 2
	case l.Protocol == ICMP && l.Version == 4:
		headerLen, t.field, pseudo = 4, 2, false
	case l.Protocol == IGMP && l.Version == 4:
		headerLen, t.field, pseudo = 8, 2, false
	default:
		return transport{}, nil
	}
	if len(h) < headerLen {
		return transport{}, ErrShortTransport
	}
	n := len(h) // that the pseudo-header has
	switch l.Protocol {
	case UDP:
		t.partial = how&Segments != 0
		if have := udpLength(h); how&KeepUDPLength != 0 && have > 0 {
			t.cover, n = have, have
		}
	case UDPLite:
		// RFC 3828 section 3.1: 0 is all, else it includes the header.
		if c := int(binary.BigEndian.Uint16(h[4:6])); c != 0 {
			if c < headerLen || c > len(h) {
				return transport{}, ErrCoverage
			}
			t.cover = c
		}
	case DCCP:
		// RFC 4340 section 9.2: 0 is all, else the header with its options
		// (Data Offset 32-bit words) and CsCov-1 further words.
		if c := int(h[5] & 0xf); c != 0 {
			t.cover = (int(h[4]) + c - 1) * 4
			if int(h[4])*4 < headerLen || t.cover > len(h) {
				return transport{}, ErrCoverage
			}
		}
	}
	if pseudo {
		var err error
		if t.pseudo, err = pseudoHeader(l, b, n); err != nil {
			return transport{}, err
		}
	}
	return t, nil
}

// udpLength returns the length that a UDP header states for less than all of h, the header
// and what is behind it; 0 if it states none or what cannot be.
func udpLength(h []byte) int {
	if n := int(binary.BigEndian.Uint16(h[4:6])); n >= udpHeaderLen && n < len(h) {
		return n
	}
	return 0
}

// pseudoHeader returns the sum of the pseudo-header of packet b for a transport header and
// data of n bytes.
func pseudoHeader(l *Layout, b []byte, n int) (uint64, error) {
	if l.Version == 4 {
		return PseudoIPv4([4]byte(b[12:16]), finalDstIPv4(l, b), l.Protocol, uint32(n)), nil
	}
	dst, err := finalDstIPv6(l, b)
	if err != nil {
		return 0, err
	}
	src := [16]byte(b[8:24])
	if l.homeAddress > 0 {
		src = [16]byte(b[l.homeAddress : l.homeAddress+16])
	}
	return PseudoIPv6(src, dst, l.Protocol, uint32(n)), nil
}

// complete fills in the checksum, and the length of UDP, of the transport
// header and data h.
func (t *transport) complete(h []byte) {
	switch {
	case t.field == 0:
		return
	case t.protocol == SCTP:
		binary.LittleEndian.PutUint32(h[t.field:t.field+4], CRC32c(h))
		return
	case t.protocol == UDP:
		binary.BigEndian.PutUint16(h[4:6], length16(t.cover))
	}
	sum := h[t.field : t.field+2]
	if t.partial {
		binary.BigEndian.PutUint16(sum, Fold(t.pseudo))
		return
	}
	putInternet(sum, h[:t.cover], t.pseudo)
	if (t.protocol == UDP || t.protocol == UDPLite) && sum[0] == 0 && sum[1] == 0 {
		sum[0], sum[1] = 0xff, 0xff // 0 would mean that there is no checksum
	}
}

// putInternet sets field, two bytes inside b, to the Internet checksum of b
// continued from sum.
func putInternet(field, b []byte, sum uint64) {
	field[0], field[1] = 0, 0
	binary.BigEndian.PutUint16(field, ^Fold(Sum(sum, b)))
}
