// SPDX-License-Identifier: GPL-2.0-or-later

package fakekernel

import (
	"encoding/binary"

	"github.com/chifflier/nfqueue-go/internal/nlwire"
)

// Messages of subsystem 3, NFNL_SUBSYS_QUEUE (enum nfqnl_msg_types).
const (
	subsystem       = 3
	msgPacket       = 0
	msgVerdict      = 1
	msgConfig       = 2
	msgVerdictBatch = 3
)

// nfgenmsgLen is the size of struct nfgenmsg: family, version, resource id.
const nfgenmsgLen = 4

// Attributes of packets and verdicts (enum nfqnl_attr_type).
const (
	attrPacketHdr     = 1
	attrVerdictHdr    = 2
	attrMark          = 3
	attrTimestamp     = 4
	attrInDev         = 5
	attrOutDev        = 6
	attrPhysInDev     = 7
	attrPhysOutDev    = 8
	attrHWAddr        = 9
	attrPayload       = 10
	attrCT            = 11
	attrCTInfo        = 12
	attrCapLen        = 13
	attrSKBInfo       = 14
	attrExp           = 15
	attrUID           = 16
	attrGID           = 17
	attrSecCtx        = 18
	attrVLAN          = 19
	attrL2Hdr         = 20
	attrPriority      = 21
	attrCgroupClassID = 22

	attrVLANProto = 1
	attrVLANTCI   = 2
)

// message makes the PACKET message of p for the owner of q. The order of attributes is that of
// nfqnl_build_packet_message. The payload is last, without padding.
func (q *queue) message(id uint32, p *Packet) []byte {
	b := nlwire.AppendHeader(nil, subsystem<<8|msgPacket, 0, 0)
	b = append(b, p.Family, 0)
	b = binary.BigEndian.AppendUint16(b, q.number)

	hdr := binary.BigEndian.AppendUint32(nil, id)
	hdr = binary.BigEndian.AppendUint16(hdr, p.EtherType)
	// struct nfqnl_msg_packet_hdr is packed.
	b = nlwire.AppendAttr(b, attrPacketHdr, append(hdr, p.Hook))

	b = appendDevs(b, p.Family, attrInDev, p.InDev, attrPhysInDev, p.PhysInDev)
	b = appendDevs(b, p.Family, attrOutDev, p.OutDev, attrPhysOutDev, p.PhysOutDev)
	b = appendUnlessZero(b, attrMark, p.Mark)
	b = appendUnlessZero(b, attrPriority, p.Priority)
	if p.InDev != 0 && len(p.HardwareAddr) > 0 {
		var hw [12]byte // struct nfqnl_msg_packet_hw
		binary.BigEndian.PutUint16(hw[:], uint16(copy(hw[4:], p.HardwareAddr)))
		b = nlwire.AppendAttr(b, attrHWAddr, hw[:])
	}
	if p.Family == familyBridge {
		b = appendLink(b, p)
	}
	if p.Hook <= hookForward && !p.Time.IsZero() {
		ts := binary.BigEndian.AppendUint64(nil, uint64(p.Time.Unix()))
		b = nlwire.AppendAttr(
			b, attrTimestamp, binary.BigEndian.AppendUint64(ts, uint64(p.Time.Nanosecond()/1000)),
		)
	}
	if q.flags&flagUIDGID != 0 && p.Owner != nil {
		b = nlwire.AppendAttrU32(b, attrUID, p.Owner.UID)
		b = nlwire.AppendAttrU32(b, attrGID, p.Owner.GID)
	}
	b = appendUnlessZero(b, attrCgroupClassID, p.ClassID)
	if q.flags&flagSecCtx != 0 && len(p.SecCtx) > 0 {
		b = nlwire.AppendAttr(b, attrSecCtx, p.SecCtx)
	}
	if q.flags&flagConntrack != 0 && p.Conntrack != nil {
		b = nlwire.AppendAttr(b, attrCT|nlwire.Nested, p.Conntrack)
		b = nlwire.AppendAttrU32(b, attrCTInfo, p.ConntrackInfo)
	}
	n := min(len(p.Payload), int(q.copyRange))
	if full := max(len(p.Payload), p.Len); n > 0 && n < full {
		b = nlwire.AppendAttrU32(b, attrCapLen, uint32(full))
	}
	b = appendUnlessZero(b, attrSKBInfo, p.SKBInfo)
	if n > 0 {
		b = append(nlwire.AppendAttrHeader(b, attrPayload, n), p.Payload[:n]...)
	}
	nlwire.Finish(b, 0)
	return b
}

func appendUnlessZero(b []byte, attr uint16, v uint32) []byte {
	if v == 0 {
		return b
	}
	return nlwire.AppendAttrU32(b, attr, v)
}

// appendDevs appends a device and then its bridge port, or the other way round in the bridge
// family.
func appendDevs(
	b []byte, family uint8, attr uint16, dev uint32, physAttr uint16, phys uint32,
) []byte {
	if family == familyBridge {
		return appendUnlessZero(appendUnlessZero(b, physAttr, phys), attr, dev)
	}
	return appendUnlessZero(appendUnlessZero(b, attr, dev), physAttr, phys)
}

// appendLink appends the attributes of the bridge family.
func appendLink(b []byte, p *Packet) []byte {
	if p.VLAN != (VLAN{}) {
		at := len(b)
		b = nlwire.AppendNest(b, attrVLAN)
		b = nlwire.AppendAttrU16(b, attrVLANTCI, p.VLAN.TCI)
		b = nlwire.AppendAttrU16(b, attrVLANProto, p.VLAN.Protocol)
		nlwire.EndNest(b, at)
	}
	if len(p.LinkHeader) > 0 {
		b = nlwire.AppendAttr(b, attrL2Hdr, p.LinkHeader)
	}
	return b
}
