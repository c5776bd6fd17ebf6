// SPDX-License-Identifier: GPL-2.0-or-later

package ippkt

import "errors"

// ErrRoutingHeader is returned by [Complete] for a packet whose transport
// checksum covers an address that cannot be found.
var ErrRoutingHeader = errors.New("the IPv6 Routing header is malformed or of an unknown type, " +
	"so the final destination that the checksum covers is unknown")

// IPv6 routing types.
const (
	routingSource  = 0 // RFC 2460 section 4.4, deprecated by RFC 5095
	routingHome    = 2 // RFC 6275 section 6.4
	routingRPL     = 3 // RFC 6554
	routingSegment = 4 // RFC 8754
)

// finalDstIPv6 returns the destination that the pseudo-header has: the last
// hop of a Routing header that is not used up, else the one in the header.
func finalDstIPv6(l *Layout, b []byte) ([16]byte, error) {
	dst := [16]byte(b[24:40])
	if l.routing == 0 {
		return dst, nil
	}
	h := b[l.routing:]
	n := (int(h[1]) + 1) * 8
	h = h[:n]
	left := int(h[3])
	switch h[2] {
	case routingSource:
		if h[1]%2 != 0 || left > int(h[1])/2 {
			return dst, ErrRoutingHeader
		}
		return [16]byte(h[n-16:]), nil
	case routingHome:
		if n != 24 || left != 1 {
			return dst, ErrRoutingHeader
		}
		return [16]byte(h[8:]), nil
	case routingRPL:
		// Addresses lack the prefix that they share with the destination:
		// CmprI bytes in all but the last, CmprE in the last.
		hop, last, pad := 16-int(h[4]>>4), 16-int(h[4]&0xf), int(h[5]>>4)
		hops := n - 8 - pad - last
		if hops < 0 || hops%hop != 0 || left > hops/hop+1 {
			return dst, ErrRoutingHeader
		}
		copy(dst[16-last:], h[n-pad-last:n-pad])
		return dst, nil
	case routingSegment:
		// The list is in reverse order. A reduced one lacks the first segment.
		lastEntry := int(h[4])
		if 8+(lastEntry+1)*16 > n || left > lastEntry+1 {
			return dst, ErrRoutingHeader
		}
		return [16]byte(h[8:]), nil
	}
	return dst, ErrRoutingHeader
}

// IPv4 option types (RFC 791 section 3.1).
const (
	optEnd               = 0
	optNop               = 1
	optLooseSourceRoute  = 131
	optStrictSourceRoute = 137
)

// finalDstIPv4 returns the destination that the pseudo-header has: the last
// address of a source route that is not used up (RFC 1122 section 3.2.1.8),
// else the one in the header. Options behind a malformed one do not count.
func finalDstIPv4(l *Layout, b []byte) [4]byte {
	for o := b[ipv4HeaderLen:l.HeaderLen]; len(o) > 0 && o[0] != optEnd; {
		if o[0] == optNop {
			o = o[1:]
			continue
		}
		if len(o) < 2 || o[1] < 2 || int(o[1]) > len(o) {
			break
		}
		n := int(o[1])
		if o[0] == optLooseSourceRoute || o[0] == optStrictSourceRoute {
			if n < 7 || int(o[2]) > n-3 {
				break // used up
			}
			return [4]byte(o[n-4 : n])
		}
		o = o[n:]
	}
	return [4]byte(b[16:20])
}
