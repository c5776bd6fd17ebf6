// SPDX-License-Identifier: GPL-2.0-or-later

package ippkt

import (
	"encoding/binary"
	"math"
)

// Option types of the Hop-by-Hop and Destination Options headers.
const (
	optPad1        = 0x00
	optJumbo       = 0xc2 // RFC 2675
	optHomeAddress = 0xc9 // RFC 6275 section 6.3
)

func (l *Layout) parseIPv6(b []byte, whole bool) error {
	if len(b) < ipv6HeaderLen {
		return ErrShortHeader
	}
	l.Version = 6
	l.HeaderLen = ipv6HeaderLen
	l.Len = len(b)
	if n := int(binary.BigEndian.Uint16(b[4:6])); n > 0 {
		l.TotalLen = ipv6HeaderLen + n
	}
	if Protocol(b[6]) == hopByHopOptions {
		l.findJumbo(b)
	}
	if !whole && l.TotalLen > 0 {
		l.Len = min(l.TotalLen, len(b))
	}
	return l.walk(b[:l.Len])
}

// findJumbo looks for the Jumbo Payload option, which only counts in a
// Hop-by-Hop Options header right after the fixed header. Its value is only
// valid above 65535 and with a payload length of 0.
func (l *Layout) findJumbo(b []byte) {
	if len(b) < ipv6HeaderLen+8 {
		return
	}
	end := min(ipv6HeaderLen+(int(b[ipv6HeaderLen+1])+1)*8, len(b))
	l.jumbo = findOption(b[:end], ipv6HeaderLen, optJumbo, 4)
	if l.jumbo == 0 || l.TotalLen > 0 {
		return
	}
	n := binary.BigEndian.Uint32(b[l.jumbo : l.jumbo+4])
	if n > maxUint16 && n <= math.MaxInt32-ipv6HeaderLen {
		l.TotalLen = ipv6HeaderLen + int(n)
	}
}

// walk follows the extension headers of b, an IPv6 packet without padding, and
// stops at the first header that is none. The kernel walks the same headers
// (ipv6_ext_hdr): it stops at Mobility (135), HIP (139) and Shim6 (140), and so
// does walk. Nothing can be read behind Encapsulating Security Payload and No
// Next Header.
func (l *Layout) walk(b []byte) error {
	next, off := Protocol(b[6]), ipv6HeaderLen
	for {
		l.Protocol = next
		l.TransportHeaderOffset = off
		switch next {
		case hopByHopOptions, routingHeader, fragmentHeader, AH, destinationOptions:
		default:
			return nil
		}
		if len(b)-off < 8 {
			return ErrShortExtension
		}
		n := (int(b[off+1]) + 1) * 8
		switch next {
		case fragmentHeader:
			n = 8
		case AH:
			n = (int(b[off+1]) + 2) * 4 // RFC 4302 section 2.2
		}
		if len(b)-off < n {
			return ErrShortExtension
		}
		switch next {
		case routingHeader:
			if b[off+3] > 0 { // Segments Left
				l.routing = off
			}
		case destinationOptions:
			if at := findOption(b[:off+n], off, optHomeAddress, 16); at > 0 {
				l.homeAddress = at
			}
		case fragmentHeader:
			if !l.Fragment() { // a second Fragment header must not hide the first
				frag := binary.BigEndian.Uint16(b[off+2 : off+4])
				l.MoreFragments = frag&1 != 0
				l.FragmentOffset = int(frag &^ 7)
				l.ID = binary.BigEndian.Uint32(b[off+4 : off+8])
			}
		}
		next = Protocol(b[off])
		off += n
		if l.FragmentOffset > 0 {
			l.Protocol = next
			l.TransportHeaderOffset = off
			return nil
		}
	}
}

// findOption returns the offset of the data of the first option of type typ and
// data length n in the options header that starts at off and ends with b, or 0.
func findOption(b []byte, off int, typ, n uint8) int {
	for off += 2; off < len(b); {
		if b[off] == optPad1 {
			off++
			continue
		}
		if len(b)-off < 2 {
			return 0
		}
		end := off + 2 + int(b[off+1])
		if end > len(b) {
			return 0
		}
		if b[off] == typ && b[off+1] == n {
			return off + 2
		}
		off = end
	}
	return 0
}
