// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/chifflier/nfqueue-go/internal/ippkt"
	"github.com/chifflier/nfqueue-go/internal/nfqmsg"
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
	attrs nfqmsg.Attrs

	id     uint32
	proto  uint16
	hook   Hook
	family Family
	number uint16

	payload  []byte // what Payload returns; replaced by SetPayload
	original original
	edits    nfqmsg.Edits
	held     *Held // set by Defer

	deciding bool // in the hands of its handler
}

// reset makes p the packet in msg, which lies at the start of buf.
func (p *Packet) reset(q *Queue, buf, msg []byte) error {
	if !p.attrs.Decode(msg) {
		return ErrMalformed
	}
	p.queue, p.buf, p.msg = q, buf, msg
	p.family, p.number = Family(nfqmsg.Family(msg)), nfqmsg.Queue(msg)
	hdr := msg[p.attrs.At[nfqmsg.AttrPacketHdr].Off:]
	p.id = binary.BigEndian.Uint32(hdr)
	p.proto = binary.BigEndian.Uint16(hdr[4:])
	p.hook = Hook(hdr[6])
	p.payload, p.original.known = nil, false
	if p.attrs.Has(nfqmsg.AttrPayload) {
		at := &p.attrs.At[nfqmsg.AttrPayload]
		end := at.Off + at.Len
		room := len(buf)
		if int(end) < len(msg) { // not last, as it always is: nothing behind it may be overwritten
			room = int(end)
		}
		if p.family == FamilyBridge && p.isIP() {
			at.Len = withoutPadding(buf[at.Off:end])
		}
		p.payload = buf[at.Off : at.Off+at.Len : room]
	}
	p.edits.Reset()
	p.held = nil
	return nil
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
	p.rememberOriginal()
	return p.payload
}

// FullLen returns the length in bytes of the packet as it was queued, which is
// more than what was copied if it was larger than the copy range. It is 0 with
// CopyMeta, where the kernel does not tell (NFQA_CAP_LEN).
func (p *Packet) FullLen() int {
	if n, ok := p.uint32(nfqmsg.AttrCapLen); ok {
		return int(n)
	}
	if p.attrs.Has(nfqmsg.AttrPayload) {
		return int(p.attrs.At[nfqmsg.AttrPayload].Len)
	}
	return 0
}

// Truncated reports whether Payload is only the beginning of the packet.
func (p *Packet) Truncated() bool { return p.attrs.Has(nfqmsg.AttrCapLen) }

// Mark returns the packet mark, or the one set by SetMark. A mark of 0 is the
// same as none (NFQA_MARK).
func (p *Packet) Mark() uint32 {
	if p.edits.Has(nfqmsg.EditMark) {
		return p.edits.Mark
	}
	v, _ := p.uint32(nfqmsg.AttrMark)
	return v
}

// SetMark sets the packet mark when the verdict is given. At HookOutput, a changed mark makes the
// kernel route the packet again.
func (p *Packet) SetMark(mark uint32) {
	p.edits.Mark = mark
	p.edits.Set |= nfqmsg.EditMark
}

// Priority returns the queueing priority of the packet, or the one set by
// SetPriority. The kernel tells one that is not 0, from Linux 5.18 on (NFQA_PRIORITY).
func (p *Packet) Priority() (priority uint32, ok bool) {
	if p.edits.Has(nfqmsg.EditPriority) {
		return p.edits.Priority, true
	}
	return p.uint32(nfqmsg.AttrPriority)
}

// SetPriority sets the queueing priority of the packet when the verdict is given.
// Kernels before 5.18 ignore it.
func (p *Packet) SetPriority(priority uint32) {
	p.edits.Priority = priority
	p.edits.Set |= nfqmsg.EditPriority
}

// InDev returns the index of the interface on which the packet came in, 0 for
// none. It is the bridge for a bridged packet (NFQA_IFINDEX_INDEV).
func (p *Packet) InDev() int { return p.dev(nfqmsg.AttrInDev) }

// OutDev returns the index of the interface by which the packet leaves, 0 for
// none (NFQA_IFINDEX_OUTDEV).
func (p *Packet) OutDev() int { return p.dev(nfqmsg.AttrOutDev) }

// PhysInDev returns the index of the bridge port on which a bridged packet came
// in, 0 for none (NFQA_IFINDEX_PHYSINDEV).
func (p *Packet) PhysInDev() int { return p.dev(nfqmsg.AttrPhysInDev) }

// PhysOutDev returns the index of the bridge port by which a bridged packet
// leaves, 0 for none (NFQA_IFINDEX_PHYSOUTDEV).
func (p *Packet) PhysOutDev() int { return p.dev(nfqmsg.AttrPhysOutDev) }

// InDevName returns the name of InDev, "" for none. Names are those of the
// network namespace of the queue, asked of the kernel at most once a second for
// each interface.
func (p *Packet) InDevName() string { return p.queue.link(p.InDev()).Name }

// OutDevName returns the name of OutDev as InDevName does.
func (p *Packet) OutDevName() string { return p.queue.link(p.OutDev()).Name }

// PhysInDevName returns the name of PhysInDev as InDevName does.
func (p *Packet) PhysInDevName() string { return p.queue.link(p.PhysInDev()).Name }

// PhysOutDevName returns the name of PhysOutDev as InDevName does.
func (p *Packet) PhysOutDevName() string { return p.queue.link(p.PhysOutDev()).Name }

// HardwareAddr returns the link-layer source address of a packet that came in on
// an interface, nil for none. It is valid until the handler returns (NFQA_HWADDR).
func (p *Packet) HardwareAddr() net.HardwareAddr {
	d := p.data(nfqmsg.AttrHWAddr)
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
	d := p.data(nfqmsg.AttrTimestamp)
	if d == nil {
		return time.Time{}, false
	}
	sec, usec := binary.BigEndian.Uint64(d), binary.BigEndian.Uint64(d[8:])
	return time.Unix(int64(sec), int64(usec)*1000), true
}

// UID returns the user id, in the initial user namespace, under which the packet's socket was
// opened. Needs Flags UIDGID (NFQA_UID).
//
// At HookOutput and HookPostrouting that is the socket which sent the packet. At HookInput it is the
// socket which will receive it: the kernel knows that one before delivery only for an established
// TCP connection or a connected UDP socket, and with the sysctl net.ipv4.ip_early_demux. All other
// packets have no socket, and UID reports false (nfqnl_put_sk_uidgid).
func (p *Packet) UID() (uid uint32, ok bool) { return p.uint32(nfqmsg.AttrUID) }

// GID returns the group id that belongs to UID (NFQA_GID).
func (p *Packet) GID() (gid uint32, ok bool) { return p.uint32(nfqmsg.AttrGID) }

// CgroupClassID returns the net_cls class of the socket of UID, if it is not 0. Needs Linux 6.4
// (NFQA_CGROUP_CLASSID).
func (p *Packet) CgroupClassID() (id uint32, ok bool) { return p.uint32(nfqmsg.AttrCgroupClassID) }

// SecurityContext returns the security context of the packet without the
// terminating NUL that SELinux adds, nil for none. Needs Flags SecCtx. It is
// valid until the handler returns (NFQA_SECCTX).
func (p *Packet) SecurityContext() []byte {
	d := p.data(nfqmsg.AttrSecCtx)
	if n := len(d); n > 0 && d[n-1] == 0 {
		d = d[:n-1]
	}
	return d
}

// SKBInfo tells what the kernel has left undone on the packet (NFQA_SKB_INFO).
func (p *Packet) SKBInfo() SKBInfo {
	v, _ := p.uint32(nfqmsg.AttrSKBInfo)
	return SKBInfo(v)
}

// LinkHeader returns the link-layer header of a packet of the bridge family, nil
// for others. It is valid until the handler returns (NFQA_L2HDR, Linux 4.7).
func (p *Packet) LinkHeader() []byte { return p.data(nfqmsg.AttrL2Hdr) }

// SetLinkHeader replaces the link-layer header of a packet of the bridge family
// when the verdict is given. It must be as long as LinkHeader: the kernel loses
// the packet otherwise. b is copied.
func (p *Packet) SetLinkHeader(b []byte) error {
	have := p.LinkHeader()
	switch {
	case have == nil:
		return p.editError("link header", errors.New("the packet has none; only those of the bridge family do"))
	case len(b) != len(have):
		return p.editError("link header", fmt.Errorf("%d bytes cannot replace %d; the kernel takes the same length only", len(b), len(have)))
	}
	p.edits.Link = append(p.edits.Link[:0], b...)
	p.edits.Set |= nfqmsg.EditLink
	return nil
}

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
	for rest := p.data(nfqmsg.AttrVLAN); ; {
		typ, d, next, more := nlwire.NextAttr(rest)
		if !more {
			return tag, have == 1<<nfqmsg.AttrVLANProto|1<<nfqmsg.AttrVLANTCI
		}
		if rest = next; len(d) < 2 {
			continue
		}
		switch typ {
		case nfqmsg.AttrVLANProto:
			tag.Protocol = binary.BigEndian.Uint16(d)
			have |= 1 << nfqmsg.AttrVLANProto
		case nfqmsg.AttrVLANTCI:
			tag.TCI = binary.BigEndian.Uint16(d)
			have |= 1 << nfqmsg.AttrVLANTCI
		}
	}
}

// SetVLAN adds a VLAN tag to a packet of the bridge family, or replaces the one it
// has, when the verdict is given. The kernel cannot take a tag away, and would write any
// Protocol, so those that are none of a tag are refused.
func (p *Packet) SetVLAN(tag VLAN) error {
	if p.family != FamilyBridge {
		return p.editError("vlan", errors.New("the kernel takes a tag only for packets of the bridge family"))
	}
	if tag.Protocol != etherTypeVLAN && tag.Protocol != etherTypeQinQ {
		return p.editError("vlan", fmt.Errorf("protocol %#04x; it must be %#04x or %#04x", tag.Protocol, etherTypeVLAN, etherTypeQinQ))
	}
	p.edits.VLANTCI, p.edits.VLANProto = tag.TCI, tag.Protocol
	p.edits.Set |= nfqmsg.EditVLAN
	return nil
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
	c.edits.Own()
	switch {
	case p.edits.Has(nfqmsg.EditPayload):
		c.payload = c.edits.Payload
	case p.attrs.Has(nfqmsg.AttrPayload):
		c.payload = c.data(nfqmsg.AttrPayload)
	}
	c.held, c.deciding = nil, false
}

// dropPayload lets go of memory other than the packet's slot.
func (p *Packet) dropPayload() { p.payload, p.edits.Payload, p.held = nil, nil, nil }
