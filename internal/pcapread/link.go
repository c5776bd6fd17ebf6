// SPDX-License-Identifier: GPL-2.0-or-later

package pcapread

import "encoding/binary"

// Link types (https://www.tcpdump.org/linktypes.html) by their numbers in files.
const (
	linkNull     = 0 // BSD loopback, in the byte order of the machine
	linkEthernet = 1
	linkToken    = 6
	linkARCnet   = 7 // of the BSDs
	linkPPP      = 9
	linkFDDI     = 10
	linkRawBSD   = 12 // DLT_RAW of most systems, and of OpenBSD
	linkRawOpen  = 14
	linkPPPHDLC  = 50
	linkPPPoE    = 51
	linkRaw      = 101
	linkCHDLC    = 104
	linkWireless = 105 // IEEE 802.11
	linkRelay    = 107 // Frame Relay
	linkLoop     = 108 // OpenBSD loopback
	linkSLL      = 113 // Linux "cooked"
	linkRadiotap = 127
	linkARCnetLx = 129 // of Linux
	linkPPI      = 192 // of CACE, around a frame of another link type
	linkIPNET    = 226 // of Solaris
	linkIPv4     = 228
	linkIPv6     = 229
	linkNFLOG    = 239 // what the NFLOG target of Linux sends
	linkIPoIB    = 242
	linkPKTAP    = 258 // of macOS, around a frame of another link type
	linkSLL2     = 276
)

// header is what is before a packet.
type header struct {
	len       int
	etherType uint16 // of what follows, 0 if that has none that is known
	source    []byte // the address of the sender, nil if there is none
	ethernet  bool
}

// LinkType is the type of the link header of a frame: a LINKTYPE_ value of the registry at
// tcpdump.org.
type LinkType uint16

// links read the link headers of frames. They are false if the header is cut.
var links = map[LinkType]func(b []byte) (header, bool){
	linkEthernet: fixed(14, func(b []byte) header {
		return header{etherType: be16(b[12:]), source: b[6:12:12], ethernet: true}
	}),
	linkSLL: fixed(16, func(b []byte) header {
		return header{etherType: be16(b[14:]), source: address(b[6:14], int(be16(b[4:])))}
	}),
	linkSLL2: fixed(20, func(b []byte) header {
		return header{etherType: be16(b), source: address(b[12:20], int(b[11]))}
	}),
	linkNull: fixed(4, typeOfFamily), linkLoop: fixed(4, typeOfFamily),
	linkRaw: raw, linkRawBSD: raw, linkRawOpen: raw,
	linkIPv4: fixed(0, func([]byte) header { return header{etherType: etherTypeIPv4} }),
	linkIPv6: fixed(0, func([]byte) header { return header{etherType: etherTypeIPv6} }),
	linkPPP:  ppp, linkPPPHDLC: ppp,
	linkPPPoE: fixed(0, func([]byte) header { return header{etherType: etherTypePPPoE} }),
	linkCHDLC: chdlc,
	linkRelay: frameRelay,
	linkFDDI: fixed(13, func(b []byte) header {
		return header{etherType: etherTypeLLC, source: b[7:13:13]}
	}),
	linkToken:    tokenRing,
	linkWireless: wireless,
	linkRadiotap: radiotap,
	linkARCnet:   func(b []byte) (header, bool) { return arcnet(b, 2) },
	linkARCnetLx: func(b []byte) (header, bool) { return arcnet(b, 4) },
	linkIPoIB:    fixed(44, func(b []byte) header { return header{etherType: be16(b[40:])} }),
	linkIPNET:    fixed(24, func(b []byte) header { return typeOfByte(b[1]) }),
	linkNFLOG:    nflog,
}

func init() { // these look into links
	links[linkPKTAP], links[linkPPI] = pktap, ppi
}

// Known reports whether the link type is known. Without that no packet is found in the frame.
func (f *Frame) Known() bool { return links[f.LinkType] != nil }

// link reads the link header of a frame. It is false if that is cut, or not known.
func (f *Frame) link() (header, bool) {
	if !f.Known() {
		return header{}, false
	}
	return links[f.LinkType](f.Data)
}

func be16(b []byte) uint16 { return binary.BigEndian.Uint16(b) }

// fixed is a header of that many bytes.
func fixed(n int, read func([]byte) header) func([]byte) (header, bool) {
	return func(b []byte) (header, bool) {
		if len(b) < n {
			return header{}, false
		}
		h := read(b)
		h.len = n
		return h, true
	}
}

var chdlc = fixed(4, func(b []byte) header { return header{etherType: be16(b[2:])} })

func raw(b []byte) (header, bool) { return header{etherType: typeOfVersion(b)}, true }

// address returns the beginning of a field of 8 bytes, nil if it holds no address.
func address(field []byte, n int) []byte {
	if n == 0 || n > len(field) {
		return nil
	}
	return field[:n:n]
}

// typeOfFamily reads an AF_* in either byte order.
func typeOfFamily(b []byte) header {
	family := binary.LittleEndian.Uint32(b)
	if family > 0xffff {
		family = binary.BigEndian.Uint32(b)
	}
	return header{etherType: typeOfAF(family)}
}

func typeOfByte(family byte) header { return header{etherType: typeOfAF(uint32(family))} }

// typeOfAF turns an AF_* of any system into an EtherType.
func typeOfAF(family uint32) uint16 {
	switch family {
	case 2:
		return etherTypeIPv4
	case 10, 24, 26, 28, 30: // Linux, NetBSD, Solaris, FreeBSD, macOS
		return etherTypeIPv6
	}
	return 0
}

func typeOfVersion(b []byte) uint16 {
	if len(b) > 0 {
		switch b[0] >> 4 {
		case 4:
			return etherTypeIPv4
		case 6:
			return etherTypeIPv6
		}
	}
	return 0
}

// ppp reads the header of RFC 1662, in which the first two bytes may be missing and the protocol
// may have one byte. PPP over HDLC may have the header of Cisco HDLC instead.
func ppp(b []byte) (h header, ok bool) {
	switch {
	case len(b) >= 4 && (b[0] == 0x0f || b[0] == 0x8f):
		return chdlc(b)
	case len(b) >= 2 && b[0] == 0xff && b[1] == 0x03:
		h.len = 2
	}
	return h, h.ppp(b)
}

// frameRelay reads the headers of RFC 2427 and of Cisco.
func frameRelay(b []byte) (h header, ok bool) {
	for h.len < len(b) && b[h.len]&1 == 0 { // the address ends with a byte that has the bit
		h.len++
	}
	h.len++
	if len(b) < h.len+3 {
		return h, false
	}
	if b[h.len] != 0x03 { // Cisco
		h.etherType = be16(b[h.len:])
		h.len += 2
		return h, true
	}
	if h.len++; b[h.len] == 0 { // padding
		h.len++
	}
	switch b[h.len] { // NLPID (ISO/IEC TR 9577)
	case 0xcc:
		h.etherType = etherTypeIPv4
	case 0x8e:
		h.etherType = etherTypeIPv6
	case 0x80: // SNAP
		if len(b) < h.len+6 {
			return h, false
		}
		h.etherType = be16(b[h.len+4:])
		h.len += 5
	}
	h.len++
	return h, true
}

// tokenRing reads the header of IEEE 802.5, which may have a route.
func tokenRing(b []byte) (header, bool) {
	h := header{len: 14, etherType: etherTypeLLC}
	if len(b) < h.len {
		return h, false
	}
	h.source = b[8:14:14]
	if b[8]&0x80 != 0 {
		if len(b) < h.len+2 {
			return h, false
		}
		h.len += int(b[14] & 0x1f)
		h.source = append([]byte{b[8] &^ 0x80}, b[9:14]...)
	}
	return h, len(b) >= h.len
}

// wireless reads the header of IEEE 802.11. Only data that is not encrypted has a type.
func wireless(b []byte) (header, bool) {
	h := header{len: 24}
	if len(b) < h.len {
		return h, false
	}
	const data, mask, noData, qos = 0x08, 0x0c, 0x40, 0x80 // in the first byte
	const toDS, fromDS, protected, order = 0x01, 0x02, 0x40, 0x80
	if b[0]&mask != data || b[0]&noData != 0 || b[1]&protected != 0 {
		return h, true
	}
	if b[1]&(toDS|fromDS) == toDS|fromDS { // four addresses
		h.len += 6
	}
	if b[0]&qos != 0 {
		if h.len += 2; b[1]&order != 0 { // HT control
			h.len += 4
		}
	}
	h.etherType = etherTypeLLC
	return h, len(b) >= h.len
}

// radiotap reads the header of https://www.radiotap.org around one of IEEE 802.11.
func radiotap(b []byte) (header, bool) {
	if len(b) < 8 {
		return header{}, false
	}
	n := int(binary.LittleEndian.Uint16(b[2:]))
	if n < 8 || n > len(b) {
		return header{}, false
	}
	h, ok := wireless(b[n:])
	if ok && h.etherType != 0 && radiotapPads(b[:n]) {
		h.len = (h.len + 3) &^ 3
	}
	h.len += n
	return h, ok && h.len <= len(b)
}

// radiotapPads reports whether there is padding behind the header of IEEE 802.11.
func radiotapPads(b []byte) bool {
	const time, flags, more = 1, 2, 1 << 31
	present := binary.LittleEndian.Uint32(b[4:])
	at := 8
	for word := present; word&more != 0; at += 4 {
		if at+4 > len(b) {
			return false
		}
		word = binary.LittleEndian.Uint32(b[at:])
	}
	if present&time != 0 {
		at = (at+7)&^7 + 8
	}
	return present&flags != 0 && at < len(b) && b[at]&0x20 != 0
}

// arcnet reads a header whose type is that far from its start (RFC 1201 and RFC 1051).
func arcnet(b []byte, typeAt int) (header, bool) {
	h := header{len: typeAt + 1}
	if len(b) < h.len {
		return h, false
	}
	switch b[typeAt] {
	case 0xf0: // RFC 1051
		h.etherType = etherTypeIPv4
	case 0xd4: // RFC 1201, with a split flag and a sequence number
		if h.len += 3; len(b) < h.len {
			return h, false
		}
		if b[typeAt+1] == 0 { // not a part of a packet
			h.etherType = etherTypeIPv4
		}
	}
	return h, true
}

// nflog reads attributes of which one is the packet (NFULA_PAYLOAD). They have the byte order of
// the machine.
func nflog(b []byte) (header, bool) {
	if len(b) < 4 {
		return header{}, false
	}
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		for at := 4; at+4 <= len(b); {
			n, typ := int(order.Uint16(b[at:])), order.Uint16(b[at+2:])
			if n < 4 {
				break
			}
			if typ == 9 {
				return header{len: at + 4, etherType: typeOfAF(uint32(b[0]))}, true
			}
			at += (n + 3) &^ 3
		}
	}
	return header{}, false
}

// pktap reads a header that has its length and the type of the link header behind it.
func pktap(b []byte) (header, bool) {
	if len(b) < 12 {
		return header{}, false
	}
	return around(b, binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[8:]))
}

// ppi reads such a header, too.
func ppi(b []byte) (header, bool) {
	if len(b) < 8 {
		return header{}, false
	}
	length := binary.LittleEndian.Uint16(b[2:])
	return around(b, uint32(length), binary.LittleEndian.Uint32(b[4:]))
}

// around reads the link header of a type that is behind so many bytes.
func around(b []byte, n, link uint32) (header, bool) {
	read := links[LinkType(link)]
	if uint64(n) > uint64(len(b)) || n < 8 || link > 0xffff || read == nil {
		return header{}, false
	}
	h, ok := read(b[n:])
	h.len += int(n)
	h.ethernet = false
	return h, ok
}
