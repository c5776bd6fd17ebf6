// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/chifflier/nfqueue-go/internal/ippkt"
	"github.com/chifflier/nfqueue-go/internal/nfqmsg"
	"github.com/chifflier/nfqueue-go/internal/rewrite"
)

// Packet is a queued packet with everything that the kernel sent about it. It belongs to the
// handler until the handler returns. After that, neither the Packet nor a slice that it returned
// may be used; Clone and Defer keep a packet longer. A Packet is not safe for concurrent use.
//
// A method returns the zero value, and false where zero could be a value, if the kernel did not
// send the attribute: the hook does not have it, the flags of the queue do not ask for it, or the
// kernel is too old.
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

	payload []byte // what Payload returns; SetPayload replaces it
	edits   nfqmsg.Edits
	held    *Held // set by Defer

	original      rewrite.Original // see rememberOriginal
	originalKnown bool

	deciding bool // its handler has it

	received time.Duration // when, if that is measured
}

// errMalformed means that a message is not what nfnetlink_queue sends.
var errMalformed = errors.New("malformed message")

// reset makes p the packet in msg, which lies at the start of buf.
func (p *Packet) reset(q *Queue, buf, msg []byte) error {
	if !p.attrs.Decode(msg) {
		return errMalformed
	}
	p.queue, p.buf, p.msg = q, buf, msg
	p.family, p.number = Family(nfqmsg.Family(msg)), nfqmsg.Queue(msg)
	hdr := msg[p.attrs.At[nfqmsg.AttrPacketHdr].Off:]
	p.id = binary.BigEndian.Uint32(hdr)
	p.proto = binary.BigEndian.Uint16(hdr[4:])
	p.hook = Hook(hdr[6])
	p.payload, p.originalKnown = nil, false
	if p.attrs.Has(nfqmsg.AttrPayload) {
		at := &p.attrs.At[nfqmsg.AttrPayload]
		end := at.Off + at.Len
		room := len(buf)
		if int(end) < len(msg) { // not last, though kernels put it last: keep what follows
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

const (
	etherTypeIPv4 = 0x0800 // ETH_P_IP
	etherTypeIPv6 = 0x86dd // ETH_P_IPV6
	etherTypeVLAN = 0x8100 // ETH_P_8021Q
	etherTypeQinQ = 0x88a8 // ETH_P_8021AD
)

// ID returns the id of the packet in its queue. Ids start at 1, increase by one for each packet and
// wrap around (NFQA_PACKET_HDR).
func (p *Packet) ID() uint32 { return p.id }

// Queue returns the number of the packet's queue.
func (p *Packet) Queue() uint16 { return p.number }

// Family returns the protocol family of the hook that queued the packet.
func (p *Packet) Family() Family { return p.family }

// Hook returns the hook that queued the packet (NFQA_PACKET_HDR).
func (p *Packet) Hook() Hook { return p.hook }

// EtherType returns the protocol of the payload as an Ethernet header has it: 0x0800 for IPv4,
// 0x86dd for IPv6 (hw_protocol of NFQA_PACKET_HDR).
func (p *Packet) EtherType() uint16 { return p.proto }

// withoutPadding returns the length of an IP packet without the padding of a short frame.
func withoutPadding(b []byte) uint32 {
	if l, err := ippkt.Parse(b); err == nil {
		return uint32(l.Len)
	}
	return uint32(len(b))
}

// Payload returns the packet from its network header on, up to the copy range. In the bridge
// family it does not include the padding of a short Ethernet frame. It is nil with CopyMeta. The
// handler may change the bytes in place and append to the slice, which rarely allocates, and then
// has to call SetPayload. The slice is valid until the handler returns (NFQA_PAYLOAD).
func (p *Packet) Payload() []byte {
	p.rememberOriginal()
	return p.payload
}

// FullLen returns the length in bytes of the packet as it was queued. It exceeds the length of the
// payload if the packet is longer than the copy range. It is 0 with CopyMeta, for which the kernel
// does not send it (NFQA_CAP_LEN).
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

// Mark returns the packet mark, or the one from SetMark. A mark of 0 is the same as none
// (NFQA_MARK).
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

// Priority returns the queueing priority of the packet, or the one from SetPriority. Since Linux
// 5.18 the kernel sends a priority that is not 0 (NFQA_PRIORITY).
func (p *Packet) Priority() (priority uint32, ok bool) {
	if p.edits.Has(nfqmsg.EditPriority) {
		return p.edits.Priority, true
	}
	return p.uint32(nfqmsg.AttrPriority)
}

// SetPriority sets the queueing priority of the packet when the verdict is given. Kernels before
// 5.18 ignore it.
func (p *Packet) SetPriority(priority uint32) {
	p.edits.Priority = priority
	p.edits.Set |= nfqmsg.EditPriority
}

// LinkHeader returns the link-layer header of a packet of the bridge family, nil for others. It is
// valid until the handler returns (NFQA_L2HDR, Linux 4.7).
func (p *Packet) LinkHeader() []byte { return p.data(nfqmsg.AttrL2Hdr) }

// SetLinkHeader replaces the link-layer header of a packet of the bridge family when the verdict is
// given. b must be as long as LinkHeader; otherwise the kernel would lose the packet. b is copied.
func (p *Packet) SetLinkHeader(b []byte) error {
	have := p.LinkHeader()
	switch {
	case have == nil:
		return p.editError("link header", errors.New("only packets of the bridge family have one"))
	case len(b) != len(have):
		return p.editError("link header", fmt.Errorf("%d bytes cannot replace %d; the length must stay",
			len(b), len(have)))
	}
	p.edits.Link = append(p.edits.Link[:0], b...)
	p.edits.Set |= nfqmsg.EditLink
	return nil
}

// VLAN is an IEEE 802.1Q tag.
type VLAN struct {
	// TCI has the priority in the upper 3 bits, then the drop eligible indicator, and the VLAN id
	// in the lower 12 bits.
	TCI uint16
	// Protocol is the tag's EtherType, 0x8100 or 0x88a8.
	Protocol uint16
}

// ID returns the VLAN id.
func (v VLAN) ID() uint16 { return v.TCI & 0xfff }

// VLAN returns the tag of a packet of the bridge family. LinkHeader does not include it (NFQA_VLAN,
// Linux 4.7).
func (p *Packet) VLAN() (tag VLAN, ok bool) {
	tag.TCI, tag.Protocol, ok = nfqmsg.VLAN(p.data(nfqmsg.AttrVLAN))
	return tag, ok
}

// SetVLAN adds a VLAN tag to a packet of the bridge family, or replaces its tag, when the verdict
// is given. It fails unless Protocol is 0x8100 or 0x88a8: the kernel does not check it. The kernel
// cannot remove a tag.
func (p *Packet) SetVLAN(tag VLAN) error {
	if p.family != FamilyBridge {
		return p.editError("vlan", errors.New("only packets of the bridge family can have a tag"))
	}
	if tag.Protocol != etherTypeVLAN && tag.Protocol != etherTypeQinQ {
		return p.editError("vlan", fmt.Errorf("protocol %#04x; it must be %#04x or %#04x",
			tag.Protocol, etherTypeVLAN, etherTypeQinQ))
	}
	p.edits.VLANTCI, p.edits.VLANProto = tag.TCI, tag.Protocol
	p.edits.Set |= nfqmsg.EditVLAN
	return nil
}

// Clone returns a copy with its own memory, which stays valid. It is for reading: its edits have no
// effect.
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
