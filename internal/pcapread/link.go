// SPDX-License-Identifier: GPL-2.0-or-later

package pcapread

import (
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/gopacket/gopacket/layers"
)

// Link types (https://www.tcpdump.org/linktypes.html) by their numbers in files.
const (
	linkNull      = 0 // BSD loopback, in the byte order of the machine
	linkEthernet  = 1
	linkRawBSD    = 12 // DLT_RAW of most systems, and of OpenBSD
	linkRawOpen   = 14
	linkRaw       = 101
	linkLoop      = 108 // OpenBSD loopback
	linkSLL       = 113 // Linux "cooked"
	linkIPv4      = 228
	linkIPv6      = 229
	linkSLL2      = 276
	afInet        = 2
	afInet6       = 10 // of Linux; 24, 28 and 30 of the BSDs and macOS
	ethernetBytes = 14
	sllBytes      = 16
	sll2Bytes     = 20
	tagBytes      = 4
)

// header is what is before a packet.
type header struct {
	len       int
	etherType uint16 // of what follows, 0 if that has none
	source    []byte
	ethernet  bool
}

// link reads the link header of a frame. It is false if that is cut. The error says that
// the link type is not known.
func (f *Frame) link() (header, bool, error) {
	b := f.Data
	need := func(n int) bool { return len(b) >= n }
	switch f.LinkType {
	case linkEthernet:
		if !need(ethernetBytes) {
			return header{}, false, nil
		}
		return header{ethernetBytes, binary.BigEndian.Uint16(b[12:]), b[6:12:12], true}, true, nil
	case linkSLL:
		if !need(sllBytes) {
			return header{}, false, nil
		}
		return header{sllBytes, binary.BigEndian.Uint16(b[14:]), address(b[6:14], int(binary.BigEndian.Uint16(b[4:]))), false}, true, nil
	case linkSLL2:
		if !need(sll2Bytes) {
			return header{}, false, nil
		}
		return header{sll2Bytes, binary.BigEndian.Uint16(b), address(b[12:20], int(b[11])), false}, true, nil
	case linkNull, linkLoop:
		if !need(4) {
			return header{}, false, nil
		}
		return header{len: 4, etherType: typeOfFamily(b)}, true, nil
	case linkRaw, linkRawBSD, linkRawOpen:
		return header{etherType: typeOfVersion(b)}, true, nil
	case linkIPv4:
		return header{etherType: etherTypeIPv4}, true, nil
	case linkIPv6:
		return header{etherType: etherTypeIPv6}, true, nil
	}
	return header{}, false, fmt.Errorf("packet %d: the link type %s is not known here; Ethernet, raw IP, Linux cooked (SLL, SLL2) and BSD loopback are", f.Number, linkName(f.LinkType))
}

// linkName names a link type that is not known here as well as is possible.
func linkName(t layers.LinkType) string {
	number := strconv.Itoa(int(t))
	if name := t.String(); name != "" && name != "UnknownLinkType" {
		return number + " (" + name + ")"
	}
	return number
}

// address returns the beginning of a field of 8 bytes, nil if it holds no address.
func address(field []byte, n int) []byte {
	if n == 0 || n > len(field) {
		return nil
	}
	return field[:n:n]
}

// typeOfFamily turns an AF_* of any system into an EtherType.
func typeOfFamily(b []byte) uint16 {
	family := binary.LittleEndian.Uint32(b)
	if family > 0xffff {
		family = binary.BigEndian.Uint32(b)
	}
	switch family {
	case afInet:
		return etherTypeIPv4
	case afInet6, 24, 28, 30:
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

// isTag reports whether a VLAN tag follows (IEEE 802.1Q, 802.1ad, and the type that was
// used before that).
func isTag(etherType uint16) bool {
	return etherType == 0x8100 || etherType == 0x88a8 || etherType == 0x9100
}

// untag takes the tag that follows h into h, unless it is cut.
func (h *header) untag(b []byte) (Tag, bool) {
	if len(b) < h.len+tagBytes {
		return Tag{}, false
	}
	t := Tag{TCI: binary.BigEndian.Uint16(b[h.len:]), Protocol: h.etherType}
	h.etherType = binary.BigEndian.Uint16(b[h.len+2:])
	h.len += tagBytes
	return t, true
}
