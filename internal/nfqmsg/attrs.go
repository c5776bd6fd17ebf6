// SPDX-License-Identifier: GPL-2.0-or-later

package nfqmsg

import (
	"encoding/binary"

	"github.com/chifflier/nfqueue-go/internal/nlwire"
)

// Attributes of packets and verdicts, enum nfqnl_attr_type.
const (
	AttrPacketHdr     = 1  // NFQA_PACKET_HDR
	AttrVerdictHdr    = 2  // NFQA_VERDICT_HDR
	AttrMark          = 3  // NFQA_MARK
	AttrTimestamp     = 4  // NFQA_TIMESTAMP
	AttrInDev         = 5  // NFQA_IFINDEX_INDEV
	AttrOutDev        = 6  // NFQA_IFINDEX_OUTDEV
	AttrPhysInDev     = 7  // NFQA_IFINDEX_PHYSINDEV
	AttrPhysOutDev    = 8  // NFQA_IFINDEX_PHYSOUTDEV
	AttrHWAddr        = 9  // NFQA_HWADDR
	AttrPayload       = 10 // NFQA_PAYLOAD
	AttrCT            = 11 // NFQA_CT
	AttrCTInfo        = 12 // NFQA_CT_INFO
	AttrCapLen        = 13 // NFQA_CAP_LEN
	AttrSKBInfo       = 14 // NFQA_SKB_INFO
	AttrExp           = 15 // NFQA_EXP
	AttrUID           = 16 // NFQA_UID
	AttrGID           = 17 // NFQA_GID
	AttrSecCtx        = 18 // NFQA_SECCTX
	AttrVLAN          = 19 // NFQA_VLAN
	AttrL2Hdr         = 20 // NFQA_L2HDR
	AttrPriority      = 21 // NFQA_PRIORITY
	AttrCgroupClassID = 22 // NFQA_CGROUP_CLASSID
	attrMax           = AttrCgroupClassID

	AttrVLANProto = 1 // NFQA_VLAN_PROTO
	AttrVLANTCI   = 2 // NFQA_VLAN_TCI
)

// minLen is the size of the kernel's structures. A shorter attribute is malformed, a longer
// one may come from a newer kernel.
var minLen = [attrMax + 1]uint8{
	AttrPacketHdr: 7, AttrMark: 4, AttrTimestamp: 16,
	AttrInDev: 4, AttrOutDev: 4, AttrPhysInDev: 4, AttrPhysOutDev: 4,
	AttrHWAddr: 12, AttrCTInfo: 4, AttrCapLen: 4, AttrSKBInfo: 4,
	AttrUID: 4, AttrGID: 4, AttrPriority: 4, AttrCgroupClassID: 4,
}

// attrTypeMask removes NLA_F_NESTED and NLA_F_NET_BYTEORDER.
const attrTypeMask = 0x3fff

// Span is where the data of an attribute lie in a message.
type Span struct{ Off, Len uint32 }

// Attrs is a decoded PACKET message: offsets, nothing copied.
type Attrs struct {
	present uint32 // bit n: attribute n is there; attrMax must be below 32
	// At has the place of each attribute that is there.
	At [attrMax + 1]Span
}

// Decode finds the attributes of a PACKET message, which starts with its netlink header.
// Unknown attributes are skipped. The last attribute need not be padded: the kernel does
// not pad the payload. Decode reports false for a message that the kernel does not send.
func (a *Attrs) Decode(msg []byte) bool {
	a.present = 0
	off := HeadersLen
	for off+nlwire.AttrHeaderLen <= len(msg) {
		n := int(binary.NativeEndian.Uint16(msg[off:]))
		if n < nlwire.AttrHeaderLen || n > len(msg)-off {
			return false
		}
		if t := binary.NativeEndian.Uint16(msg[off+2:]) & attrTypeMask; t <= attrMax {
			if n-nlwire.AttrHeaderLen < int(minLen[t]) {
				return false
			}
			a.present |= 1 << t
			a.At[t] = Span{uint32(off + nlwire.AttrHeaderLen), uint32(n - nlwire.AttrHeaderLen)}
		}
		off += nlwire.Align(n)
	}
	return a.Has(AttrPacketHdr)
}

// Has reports whether an attribute is there.
func (a *Attrs) Has(attr uint) bool { return a.present&(1<<attr) != 0 }

// Data returns the data of an attribute of msg, nil if it is not there.
func (a *Attrs) Data(msg []byte, attr uint) []byte {
	if !a.Has(attr) {
		return nil
	}
	at := a.At[attr]
	return msg[at.Off : at.Off+at.Len : at.Off+at.Len]
}

// Uint32 returns the number in an attribute of msg.
func (a *Attrs) Uint32(msg []byte, attr uint) (v uint32, ok bool) {
	if !a.Has(attr) {
		return 0, false
	}
	return binary.BigEndian.Uint32(msg[a.At[attr].Off:]), true
}

// VLAN reads the data of NFQA_VLAN. It reports false unless it has a whole tag.
func VLAN(nest []byte) (tci, proto uint16, ok bool) {
	var have int
	for {
		typ, d, rest, more := nlwire.NextAttr(nest)
		if !more {
			return tci, proto, have == 1<<AttrVLANProto|1<<AttrVLANTCI
		}
		if nest = rest; len(d) < 2 {
			continue
		}
		switch typ {
		case AttrVLANProto:
			proto = binary.BigEndian.Uint16(d)
			have |= 1 << AttrVLANProto
		case AttrVLANTCI:
			tci = binary.BigEndian.Uint16(d)
			have |= 1 << AttrVLANTCI
		}
	}
}

// packetHdrAt is where NFQA_PACKET_HDR begins with the id: the kernel puts it first.
const packetHdrAt = HeadersLen + nlwire.AttrHeaderLen

// IDFirst reports whether the attribute with the id is the first, where PacketID and
// ArrivedID find it.
func (a *Attrs) IDFirst() bool { return a.At[AttrPacketHdr].Off == packetHdrAt }

// PacketID finds the id in a PACKET message, also in one that cannot be decoded, so that
// even such a packet gets a verdict.
func PacketID(msg []byte) (id uint32, ok bool) {
	if len(msg) < packetHdrAt+4 ||
		binary.NativeEndian.Uint16(msg[packetHdrAt-2:])&attrTypeMask != AttrPacketHdr {
		return 0, false
	}
	return binary.BigEndian.Uint32(msg[packetHdrAt:]), true
}

// ArrivedID returns the id of the packet that a datagram brings. It reports false for a
// datagram without a packet, or with one that has no readable id.
func ArrivedID(b []byte) (id uint32, ok bool) {
	if len(b) < nlwire.HeaderLen || binary.NativeEndian.Uint16(b[4:]) != Packet ||
		binary.NativeEndian.Uint32(b) < packetHdrAt+4 {
		return 0, false
	}
	return PacketID(b)
}
