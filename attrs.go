// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"encoding/binary"

	"github.com/chifflier/nfqueue-go/internal/nlwire"
)

// Messages of nfnetlink_queue: the subsystem number 3 in the upper byte, enum
// nfqnl_msg_types in the lower.
const (
	msgPacket       = 0x300 // NFQNL_MSG_PACKET
	msgVerdict      = 0x301 // NFQNL_MSG_VERDICT
	msgConfig       = 0x302 // NFQNL_MSG_CONFIG
	msgVerdictBatch = 0x303 // NFQNL_MSG_VERDICT_BATCH
)

// nfgenmsgLen is the size of struct nfgenmsg: family, version, queue number.
const nfgenmsgLen = 4

// Attributes of packets and verdicts, enum nfqnl_attr_type.
const (
	attrPacketHdr     = 1  // NFQA_PACKET_HDR
	attrVerdictHdr    = 2  // NFQA_VERDICT_HDR
	attrMark          = 3  // NFQA_MARK
	attrTimestamp     = 4  // NFQA_TIMESTAMP
	attrInDev         = 5  // NFQA_IFINDEX_INDEV
	attrOutDev        = 6  // NFQA_IFINDEX_OUTDEV
	attrPhysInDev     = 7  // NFQA_IFINDEX_PHYSINDEV
	attrPhysOutDev    = 8  // NFQA_IFINDEX_PHYSOUTDEV
	attrHWAddr        = 9  // NFQA_HWADDR
	attrPayload       = 10 // NFQA_PAYLOAD
	attrCT            = 11 // NFQA_CT
	attrCTInfo        = 12 // NFQA_CT_INFO
	attrCapLen        = 13 // NFQA_CAP_LEN
	attrSKBInfo       = 14 // NFQA_SKB_INFO
	attrExp           = 15 // NFQA_EXP
	attrUID           = 16 // NFQA_UID
	attrGID           = 17 // NFQA_GID
	attrSecCtx        = 18 // NFQA_SECCTX
	attrVLAN          = 19 // NFQA_VLAN
	attrL2Hdr         = 20 // NFQA_L2HDR
	attrPriority      = 21 // NFQA_PRIORITY
	attrCgroupClassID = 22 // NFQA_CGROUP_CLASSID
	attrMax           = attrCgroupClassID

	attrVLANProto = 1 // NFQA_VLAN_PROTO
	attrVLANTCI   = 2 // NFQA_VLAN_TCI
)

// attrMinLen is what the kernel's structures take; a shorter attribute is
// malformed, a longer one may come from a newer kernel.
var attrMinLen = [attrMax + 1]uint8{
	attrPacketHdr: 7, attrMark: 4, attrTimestamp: 16,
	attrInDev: 4, attrOutDev: 4, attrPhysInDev: 4, attrPhysOutDev: 4,
	attrHWAddr: 12, attrCTInfo: 4, attrCapLen: 4, attrSKBInfo: 4,
	attrUID: 4, attrGID: 4, attrPriority: 4, attrCgroupClassID: 4,
}

// span is where the data of an attribute lie in a message.
type span struct{ off, len uint32 }

// attrs is the outcome of decoding a PACKET message: offsets, nothing copied.
type attrs struct {
	present uint32 // bit n: attribute n is there
	at      [attrMax + 1]span
}

// decode finds the attributes of a PACKET message, which starts with its
// netlink header. Unknown attributes are skipped. The last attribute need not
// be padded: the kernel does not pad the payload.
func (a *attrs) decode(msg []byte) error {
	a.present = 0
	off := nlwire.HeaderLen + nfgenmsgLen
	for off+nlwire.AttrHeaderLen <= len(msg) {
		n := int(binary.NativeEndian.Uint16(msg[off:]))
		if n < nlwire.AttrHeaderLen || n > len(msg)-off {
			return ErrMalformed
		}
		if t := binary.NativeEndian.Uint16(msg[off+2:]) & 0x3fff; t <= attrMax {
			if n-nlwire.AttrHeaderLen < int(attrMinLen[t]) {
				return ErrMalformed
			}
			a.present |= 1 << t
			a.at[t] = span{uint32(off + nlwire.AttrHeaderLen), uint32(n - nlwire.AttrHeaderLen)}
		}
		off += nlwire.Align(n)
	}
	if !a.has(attrPacketHdr) {
		return ErrMalformed
	}
	return nil
}

func (a *attrs) has(attr uint) bool { return a.present&(1<<attr) != 0 }

// packetHdrAt is where NFQA_PACKET_HDR begins with the id: the kernel puts it first.
const packetHdrAt = nlwire.HeaderLen + nfgenmsgLen + nlwire.AttrHeaderLen

// packetID finds the id in a PACKET message, also in one that cannot be decoded, so that
// even such a packet gets a verdict.
func packetID(msg []byte) (id uint32, ok bool) {
	if len(msg) < packetHdrAt+4 || binary.NativeEndian.Uint16(msg[packetHdrAt-2:])&0x3fff != attrPacketHdr {
		return 0, false
	}
	return binary.BigEndian.Uint32(msg[packetHdrAt:]), true
}
