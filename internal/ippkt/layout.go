// SPDX-License-Identifier: GPL-2.0-or-later

// Package ippkt reads the headers of IPv4 and IPv6 packets: where they are, which flow a packet
// belongs to, and what its transport header and body are. It also computes checksums, and writes
// into a changed packet what makes it valid again.
//
// Packets may come from anyone. No function panics, allocates, or reads a byte more often than a
// small constant number of times. All are safe for concurrent use on different packets.
package ippkt

import (
	"encoding/binary"
	"errors"
)

// Reasons why the headers of a packet cannot be read.
var (
	ErrNotIP          = errors.New("not an IP packet: its version is neither 4 nor 6")
	ErrShortHeader    = errors.New("the packet ends inside its IP header")
	ErrHeaderLength   = errors.New("the IPv4 header length is less than 20 bytes")
	ErrTotalLength    = errors.New("the IPv4 total length is less than the header length")
	ErrShortExtension = errors.New("the packet ends inside an IPv6 extension header")
)

const (
	ipv4HeaderLen = 20 // without options
	ipv6HeaderLen = 40
	maxUint16     = 1<<16 - 1
)

// Layout says where the parts of a packet are. Offsets and lengths are in bytes
// from the first byte of the IP header.
type Layout struct {
	// Version is 4 or 6, or 0 when not even the fixed IP header could be read;
	// nothing else is set then.
	Version uint8

	// Protocol is the upper-layer protocol (IANA number): the IPv4 protocol or
	// the last Next Header of the IPv6 extension headers. Of an IPv6 fragment
	// that is not the first it is the Next Header of the Fragment header, which
	// may be a further extension header.
	Protocol Protocol

	// MoreFragments and FragmentOffset (in bytes) come from the IPv4 header or
	// the IPv6 Fragment header, and so does ID, which is 16 bits long in IPv4
	// and 0 in an IPv6 packet without a Fragment header.
	MoreFragments  bool
	FragmentOffset int
	ID             uint32

	// HeaderLen is the length of the IPv4 header with its options, or the 40
	// bytes of the fixed IPv6 header.
	HeaderLen int

	// TransportHeaderOffset is the length of all headers below the upper-layer
	// protocol, or, in a fragment that is not the first, below the piece of
	// data that it carries. It never exceeds Len.
	//
	// The kernel silently drops a packet whose new payload is shorter than this
	// offset in the packet that it queued. It may know a smaller one in IPv6,
	// since it does not always look behind the extension headers first.
	TransportHeaderOffset int

	// TotalLen is the length of the packet that its headers state: IPv4 total
	// length, IPv6 payload length or jumbo payload option plus 40. It is 0
	// where none is stated, as in BIG TCP packets.
	TotalLen int

	// Len is the number of bytes that belong to the packet: TotalLen, or all
	// bytes when the headers state no length or more than there is. Bytes
	// beyond it are padding of the link layer. TotalLen > Len means that the
	// packet was cut.
	Len int

	// Offsets of what only [Complete] needs; 0 where absent.
	routing     int // the last Routing header that is not used up
	homeAddress int // the address in the Home Address option
	jumbo       int // the length in the Jumbo Payload option
}

// Fragment reports whether the packet is a part of a fragmented datagram. An
// IPv6 "atomic" fragment (RFC 6946), a whole datagram with a Fragment header,
// is none.
func (l *Layout) Fragment() bool { return l.MoreFragments || l.FragmentOffset > 0 }

// Parse finds the headers of the packet that b begins with. The transport
// header itself is not looked at, and need not be there.
//
// With an error the fields hold what was learnt until then: where Version is
// not 0 the addresses can be read, and after [ErrShortExtension] Protocol and
// TransportHeaderOffset tell which extension header is cut, and where.
func Parse(b []byte) (Layout, error) {
	var l Layout
	err := l.parse(b, false)
	return l, err
}

// parse is Parse. With whole, b is the packet whatever length its headers
// state.
func (l *Layout) parse(b []byte, whole bool) error {
	if len(b) == 0 {
		return ErrShortHeader
	}
	switch b[0] >> 4 {
	case 4:
		return l.parseIPv4(b, whole)
	case 6:
		return l.parseIPv6(b, whole)
	}
	return ErrNotIP
}

func (l *Layout) parseIPv4(b []byte, whole bool) error {
	if len(b) < ipv4HeaderLen {
		return ErrShortHeader
	}
	frag := binary.BigEndian.Uint16(b[6:8])
	l.Version = 4
	l.Protocol = Protocol(b[9])
	l.ID = uint32(binary.BigEndian.Uint16(b[4:6]))
	l.MoreFragments = frag&0x2000 != 0
	l.FragmentOffset = int(frag&0x1fff) * 8
	l.TotalLen = int(binary.BigEndian.Uint16(b[2:4]))
	l.Len = len(b)
	l.HeaderLen = int(b[0]&0xf) * 4
	l.TransportHeaderOffset = min(l.HeaderLen, len(b))
	if l.HeaderLen < ipv4HeaderLen {
		return ErrHeaderLength
	}
	if l.HeaderLen > len(b) {
		return ErrShortHeader
	}
	if whole || l.TotalLen == 0 {
		return nil
	}
	if l.TotalLen < l.HeaderLen {
		return ErrTotalLength
	}
	l.Len = min(l.TotalLen, len(b))
	return nil
}
