// SPDX-License-Identifier: GPL-2.0-or-later

package impair

import (
	"github.com/chifflier/nfqueue-go/internal/ippkt"
)

// extent returns the bounds of the part of a packet that can be damaged: what follows
// the IP header, or, if checksums are to be repaired, behind the transport header.
func extent(packet []byte, repair bool) (from, to int) {
	l, err := ippkt.Parse(packet)
	switch {
	case err != nil: // not IP, as on a bridge
		return 0, len(packet)
	case repair:
		t, _ := ippkt.FindTransport(packet, false)
		return t.BodyOffset, t.BodyEnd
	}
	return l.TransportHeaderOffset, l.Len
}

// flip damages the packet in place. It reports whether there was anything to damage.
func flip(packet []byte, how Flip, repair bool, random uint64) bool {
	from, to := extent(packet, repair)
	if from == to {
		return false
	}
	at := from + int(random>>16%uint64(to-from))
	if how == FlipByte {
		packet[at] ^= byte(1 + random&0xffff%255)
	} else {
		packet[at] ^= 1 << (random & 7)
	}
	return true
}

// cut returns the beginning of a packet: to bytes, or a random number if that is zero, but no less
// than its headers. It returns the whole packet if there is nothing to cut.
func cut(packet []byte, to int, repair bool, random uint64) []byte {
	from, end := extent(packet, repair)
	if from == end {
		return packet
	}
	if to == 0 {
		to = from + int(random>>16%uint64(end-from))
	}
	return packet[:min(max(to, from, 1), len(packet))]
}
