// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import "github.com/chifflier/nfqueue-go/internal/ippkt"

// origin is what a change of the payload has to know of the packet as it was queued. It is
// found out before the payload is given out, which may then be edited in place.
type origin struct {
	known bool
	// len is the length of the payload.
	len int
	// parsed is the length of the headers that the IP layer has gone through before its hooks,
	// see ippkt.ParsedLen. The kernel goes on behind them. It is 0 where there is no such layer.
	parsed int
	// least is how long a payload has to be which the kernel does not drop as too short (nfqnl_mangle): up to
	// where it takes the transport header to be.
	least int
	// udp is whether the packet is UDP, or may be.
	udp bool
	// surplus is whether there are bytes behind a UDP datagram which are no part of it.
	surplus bool
	// inside is whether the kernel has yet to complete a checksum inside a tunnel.
	inside bool
}

// remember finds the origin of the packet unless it is known.
func (p *Packet) remember() {
	if p.came.known {
		return
	}
	p.came = origin{known: true, len: len(p.payload)}
	if !p.isIP() {
		return
	}
	p.came.least = ippkt.ParsedLen(p.payload)
	if p.family != FamilyBridge {
		p.came.parsed = p.came.least
	}
	l, err := ippkt.Parse(p.payload)
	if err != nil {
		p.came.udp = true
		return
	}
	p.came.udp = l.Protocol == UDP
	p.came.surplus = l.UDPSurplus(p.payload)
	if l.Version == 6 && (p.hook == HookOutput || p.hook == HookPostrouting) {
		// The sender has set it behind all extension headers. Of what is forwarded they have not been looked
		// at, but for Hop-by-Hop Options; at postrouting nothing tells which it is.
		p.came.least = l.TransportHeaderOffset
	}
	p.came.inside = p.SKBInfo()&ChecksumNotReady != 0 && l.PartialChecksumInside(p.payload)
}
