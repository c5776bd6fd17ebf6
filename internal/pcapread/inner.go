// SPDX-License-Identifier: GPL-2.0-or-later

package pcapread

const (
	etherTypeIPv4   = 0x0800 // ETH_P_IP
	etherTypeIPv6   = 0x86dd // ETH_P_IPV6
	etherTypeLLC    = 0x0004 // ETH_P_802_2, which stands for any that is a length
	etherTypeVLAN   = 0x8100
	etherTypeQinQ   = 0x88a8
	etherTypeOld    = 0x9100 // a second VLAN tag, before IEEE 802.1ad
	etherTypeMPLS   = 0x8847
	etherTypeMPLSMC = 0x8848
	etherTypePPPoE  = 0x8864 // the session
	etherTypeMACsec = 0x88e5
	etherTypeNSH    = 0x894f
	etherTypeArista = 0xd28b // time stamps
)

const tagBytes = 4

// isTag reports whether a VLAN tag follows (IEEE 802.1Q, 802.1ad, and the type that was
// used before that).
func isTag(etherType uint16) bool {
	return etherType == etherTypeVLAN || etherType == etherTypeQinQ || etherType == etherTypeOld
}

// untag takes the tag that follows h into h, unless it is cut.
func (h *header) untag(b []byte) (Tag, bool) {
	if len(b) < h.len+tagBytes {
		return Tag{}, false
	}
	t := Tag{TCI: be16(b[h.len:]), Protocol: h.etherType}
	h.etherType = be16(b[h.len+2:])
	h.len += tagBytes
	return t, true
}

// inner takes what follows h into h, if that is a header between the link layer and IP. It is false
// if nothing such follows, and if it is cut.
func (h *header) inner(b []byte) bool {
	if h.len > len(b) {
		return false
	}
	rest := b[h.len:]
	// next goes behind a header, whose last two bytes are the EtherType of what follows.
	next := func(n int) bool {
		if len(rest) < n {
			return false
		}
		h.len, h.etherType = h.len+n, be16(rest[n-2:])
		return true
	}
	switch t := h.etherType; {
	case isTag(t):
		return next(tagBytes)
	case t == etherTypeLLC, t > 0 && t <= 1500:
		return h.llc(rest, next)
	case t == etherTypeMPLS, t == etherTypeMPLSMC:
		return h.mpls(rest)
	case t == etherTypePPPoE:
		const version1, session = 0x11, 0
		if len(rest) < 6 || rest[0] != version1 || rest[1] != session {
			return false
		}
		h.len += 6
		return h.ppp(b)
	case t == etherTypeMACsec:
		return macsec(rest, next)
	case t == etherTypeNSH:
		return h.nsh(rest)
	case t == etherTypeArista:
		if len(rest) < 4 {
			return false
		}
		if rest[3]&0xf0 == 0x20 { // the version with 48 bits of time
			return next(12)
		}
		return next(14)
	}
	return false
}

// llc reads the header of IEEE 802.2, with SNAP or for IP.
func (h *header) llc(b []byte, next func(int) bool) bool {
	const snap, ip, unnumbered = 0xaa, 0x06, 0x03
	switch {
	case len(b) < 3 || b[2] != unnumbered:
		return false
	case b[0] == snap && b[1] == snap:
		return next(8)
	case b[0] == ip && b[1] == ip:
		h.len, h.etherType = h.len+3, etherTypeIPv4
		return true
	}
	return false
}

// mpls reads labels (RFC 3032). The packet behind them tells its type by its version.
func (h *header) mpls(b []byte) bool {
	for at := 0; at+4 <= len(b); at += 4 {
		if bottom := b[at+2]&1 != 0; bottom {
			h.len, h.etherType = h.len+at+4, typeOfVersion(b[at+4:])
			return true
		}
	}
	return false
}

// ppp takes a protocol of PPP into h.
func (h *header) ppp(b []byte) bool {
	if len(b) < h.len+2 {
		return false
	}
	protocol := be16(b[h.len:])
	h.len += 2
	if protocol>>8&1 != 0 { // the first byte of two is even (RFC 1661)
		protocol >>= 8
		h.len--
	}
	h.etherType = map[uint16]uint16{
		0x0021: etherTypeIPv4, 0x0057: etherTypeIPv6,
		0x0281: etherTypeMPLS, 0x0283: etherTypeMPLSMC,
	}[protocol]
	return true
}

// macsec reads the header of IEEE 802.1AE if the packet is not encrypted.
func macsec(b []byte, next func(int) bool) bool {
	const channel, encrypted, changed = 0x20, 0x08, 0x04
	switch {
	case len(b) == 0 || b[0]&(encrypted|changed) != 0:
		return false
	case b[0]&channel != 0:
		return next(16)
	}
	return next(8)
}

// nsh reads a Network Service Header (RFC 8300).
func (h *header) nsh(b []byte) bool {
	if len(b) < 8 {
		return false
	}
	n := int(b[1]&0x3f) * 4
	if n < 8 || n > len(b) {
		return false
	}
	h.len += n
	h.etherType = map[byte]uint16{1: etherTypeIPv4, 2: etherTypeIPv6, 5: etherTypeMPLS}[b[3]]
	return true
}
