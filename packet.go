// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"encoding/binary"
	"net"
	"time"

	"github.com/chifflier/nfqueue-go/internal/ippkt"
	"github.com/chifflier/nfqueue-go/internal/nlwire"
)

// Packet is a queued packet with everything the kernel said about it. A handler
// owns it until it returns: after that neither the Packet nor any slice it gave
// out may be used. Clone or Defer keeps it longer. It is not safe for concurrent
// use.
//
// A packet that lacks an attribute, because the hook has none, the queue's flags
// do not ask for it or the kernel is too old, answers with the zero value, and
// with false where zero could be a value.
type Packet struct {
	queue *Queue
	buf   []byte // all memory that belongs to the packet; the message is at its start
	msg   []byte // the message, buf[:len(msg)]
	attrs attrs

	id     uint32
	proto  uint16
	hook   Hook
	family Family
	number uint16

	payload []byte // what Payload returns; replaced by SetPayload
	came    origin
	edits   edits
	held    *Held // set by Defer

	deciding bool // in the hands of its handler
}

// reset makes p the packet in msg, which lies at the start of buf.
func (p *Packet) reset(q *Queue, buf, msg []byte) error {
	if err := p.attrs.decode(msg); err != nil {
		return err
	}
	p.queue, p.buf, p.msg = q, buf, msg
	p.family = Family(msg[nlwire.HeaderLen])
	p.number = binary.BigEndian.Uint16(msg[nlwire.HeaderLen+2:])
	hdr := msg[p.attrs.at[attrPacketHdr].off:]
	p.id = binary.BigEndian.Uint32(hdr)
	p.proto = binary.BigEndian.Uint16(hdr[4:])
	p.hook = Hook(hdr[6])
	p.payload, p.came.known = nil, false
	if p.attrs.has(attrPayload) {
		at := &p.attrs.at[attrPayload]
		end := at.off + at.len
		room := len(buf)
		if int(end) < len(msg) { // not last, as it always is: nothing behind it may be overwritten
			room = int(end)
		}
		if p.family == FamilyBridge && p.isIP() {
			at.len = withoutPadding(buf[at.off:end])
		}
		p.payload = buf[at.off : at.off+at.len : room]
	}
	p.edits.reset()
	p.held = nil
	return nil
}

// data returns the bytes of an attribute, nil if it is absent.
func (p *Packet) data(attr uint) []byte {
	if !p.attrs.has(attr) {
		return nil
	}
	at := p.attrs.at[attr]
	return p.msg[at.off : at.off+at.len : at.off+at.len]
}

func (p *Packet) uint32(attr uint) (v uint32, ok bool) {
	if !p.attrs.has(attr) {
		return 0, false
	}
	return binary.BigEndian.Uint32(p.msg[p.attrs.at[attr].off:]), true
}

// ID returns the number by which the kernel knows the packet. Ids count up by one
// per packet of a queue, from 1, and wrap around (NFQA_PACKET_HDR).
func (p *Packet) ID() uint32 { return p.id }

// Queue returns the number of the queue that the packet came through.
func (p *Packet) Queue() uint16 { return p.number }

// Family returns the protocol family of the hook that queued the packet.
func (p *Packet) Family() Family { return p.family }

// Hook returns the hook that queued the packet (NFQA_PACKET_HDR).
func (p *Packet) Hook() Hook { return p.hook }

// EtherType returns the protocol of the payload as in an Ethernet header, 0x0800
// for IPv4 and 0x86dd for IPv6 (hw_protocol of NFQA_PACKET_HDR).
func (p *Packet) EtherType() uint16 { return p.proto }

// withoutPadding returns how many bytes of an IP packet of the bridge family are not the padding of
// a short frame.
func withoutPadding(b []byte) uint32 {
	if l, err := ippkt.Parse(b); err == nil {
		return uint32(l.Len)
	}
	return uint32(len(b))
}

// Payload returns the packet from its network header on, up to the copy range, without
// the padding that follows a short IP packet in an Ethernet frame of the bridge family.
// It is nil with CopyMeta. The bytes may be changed in place, and the slice may
// be appended to without allocating in most cases; SetPayload then sends the
// change. The slice is valid until the handler returns (NFQA_PAYLOAD).
func (p *Packet) Payload() []byte {
	p.remember()
	return p.payload
}

// FullLen returns the length in bytes of the packet as it was queued, which is
// more than what was copied if it was larger than the copy range. It is 0 with
// CopyMeta, where the kernel does not tell (NFQA_CAP_LEN).
func (p *Packet) FullLen() int {
	if n, ok := p.uint32(attrCapLen); ok {
		return int(n)
	}
	if p.attrs.has(attrPayload) {
		return int(p.attrs.at[attrPayload].len)
	}
	return 0
}

// Truncated reports whether Payload is only the beginning of the packet.
func (p *Packet) Truncated() bool { return p.attrs.has(attrCapLen) }

// Mark returns the packet mark, or the one set by SetMark. A mark of 0 is the
// same as none (NFQA_MARK).
func (p *Packet) Mark() uint32 {
	if p.edits.has(editMark) {
		return p.edits.mark
	}
	v, _ := p.uint32(attrMark)
	return v
}

// Priority returns the queueing priority of the packet, or the one set by
// SetPriority. The kernel tells one that is not 0, from Linux 5.18 on (NFQA_PRIORITY).
func (p *Packet) Priority() (priority uint32, ok bool) {
	if p.edits.has(editPriority) {
		return p.edits.priority, true
	}
	return p.uint32(attrPriority)
}

// InDev returns the index of the interface on which the packet came in, 0 for
// none. It is the bridge for a bridged packet (NFQA_IFINDEX_INDEV).
func (p *Packet) InDev() int { return p.dev(attrInDev) }

// OutDev returns the index of the interface by which the packet leaves, 0 for
// none (NFQA_IFINDEX_OUTDEV).
func (p *Packet) OutDev() int { return p.dev(attrOutDev) }

// PhysInDev returns the index of the bridge port on which a bridged packet came
// in, 0 for none (NFQA_IFINDEX_PHYSINDEV).
func (p *Packet) PhysInDev() int { return p.dev(attrPhysInDev) }

// PhysOutDev returns the index of the bridge port by which a bridged packet
// leaves, 0 for none (NFQA_IFINDEX_PHYSOUTDEV).
func (p *Packet) PhysOutDev() int { return p.dev(attrPhysOutDev) }

func (p *Packet) dev(attr uint) int {
	v, _ := p.uint32(attr)
	return int(v)
}

// InDevName returns the name of InDev, "" for none. Names are those of the
// network namespace of the queue, asked of the kernel at most once a second for
// each interface.
func (p *Packet) InDevName() string { return p.queue.linkName(p.InDev()) }

// OutDevName returns the name of OutDev as InDevName does.
func (p *Packet) OutDevName() string { return p.queue.linkName(p.OutDev()) }

// PhysInDevName returns the name of PhysInDev as InDevName does.
func (p *Packet) PhysInDevName() string { return p.queue.linkName(p.PhysInDev()) }

// PhysOutDevName returns the name of PhysOutDev as InDevName does.
func (p *Packet) PhysOutDevName() string { return p.queue.linkName(p.PhysOutDev()) }

// HardwareAddr returns the link-layer source address of a packet that came in on
// an interface, nil for none. It is valid until the handler returns (NFQA_HWADDR).
func (p *Packet) HardwareAddr() net.HardwareAddr {
	d := p.data(attrHWAddr)
	if d == nil {
		return nil
	}
	n := int(binary.BigEndian.Uint16(d))
	if n > 8 { // hw_addr of struct nfqnl_msg_packet_hw
		n = 8
	}
	return net.HardwareAddr(d[4 : 4+n : 4+n])
}

// Time returns when the packet was received. The kernel tells only at the hooks
// up to forward, and only while something on the system has receive timestamps
// switched on (NFQA_TIMESTAMP).
func (p *Packet) Time() (t time.Time, ok bool) {
	d := p.data(attrTimestamp)
	if d == nil {
		return time.Time{}, false
	}
	sec, usec := binary.BigEndian.Uint64(d), binary.BigEndian.Uint64(d[8:])
	return time.Unix(int64(sec), int64(usec)*1000), true
}

// UID returns the user id, in the initial user namespace, of whoever opened the
// socket that sent the packet. Needs Flags UIDGID (NFQA_UID).
func (p *Packet) UID() (uid uint32, ok bool) { return p.uint32(attrUID) }

// GID returns the group id that belongs to UID (NFQA_GID).
func (p *Packet) GID() (gid uint32, ok bool) { return p.uint32(attrGID) }

// CgroupClassID returns the net_cls class of the socket that sent the packet. The
// kernel tells one that is not 0, from Linux 6.4 on (NFQA_CGROUP_CLASSID).
func (p *Packet) CgroupClassID() (id uint32, ok bool) { return p.uint32(attrCgroupClassID) }

// SecurityContext returns the security context of the packet without the
// terminating NUL that SELinux adds, nil for none. Needs Flags SecCtx. It is
// valid until the handler returns (NFQA_SECCTX).
func (p *Packet) SecurityContext() []byte {
	d := p.data(attrSecCtx)
	if n := len(d); n > 0 && d[n-1] == 0 {
		d = d[:n-1]
	}
	return d
}

// SKBInfo tells what the kernel has left undone on the packet (NFQA_SKB_INFO).
func (p *Packet) SKBInfo() SKBInfo {
	v, _ := p.uint32(attrSKBInfo)
	return SKBInfo(v)
}

// LinkHeader returns the link-layer header of a packet of the bridge family, nil
// for others. It is valid until the handler returns (NFQA_L2HDR, Linux 4.7).
func (p *Packet) LinkHeader() []byte { return p.data(attrL2Hdr) }

// VLAN is an IEEE 802.1Q tag.
type VLAN struct {
	// TCI holds the priority in the upper 3 bits, the drop eligible indicator in
	// the next and the VLAN id in the lower 12.
	TCI uint16
	// Protocol is the tag's EtherType, 0x8100 or 0x88a8.
	Protocol uint16
}

// ID returns the VLAN id.
func (v VLAN) ID() uint16 { return v.TCI & 0xfff }

// VLAN returns the tag of a packet of the bridge family, which the kernel keeps
// apart from the link header (NFQA_VLAN, Linux 4.7).
func (p *Packet) VLAN() (tag VLAN, ok bool) {
	var have int
	for rest := p.data(attrVLAN); ; {
		typ, d, next, more := nlwire.NextAttr(rest)
		if !more {
			return tag, have == 1<<attrVLANProto|1<<attrVLANTCI
		}
		if rest = next; len(d) < 2 {
			continue
		}
		switch typ {
		case attrVLANProto:
			tag.Protocol = binary.BigEndian.Uint16(d)
			have |= 1 << attrVLANProto
		case attrVLANTCI:
			tag.TCI = binary.BigEndian.Uint16(d)
			have |= 1 << attrVLANTCI
		}
	}
}

// Clone returns a copy with memory of its own, which stays valid. It is for
// reading: its edits have no effect.
func (p *Packet) Clone() *Packet {
	c := new(Packet)
	p.cloneInto(c)
	return c
}

func (p *Packet) cloneInto(c *Packet) {
	*c = *p
	c.buf = append([]byte(nil), p.msg...)
	c.msg = c.buf
	switch {
	case p.edits.has(editPayload):
		c.payload = append([]byte(nil), p.payload...)
	case p.attrs.has(attrPayload):
		c.payload = c.data(attrPayload)
	}
	c.held, c.deciding = nil, false
	c.edits.own()
}
