// SPDX-License-Identifier: GPL-2.0-or-later

package fakekernel

import (
	"bytes"
	"encoding/binary"

	"github.com/chifflier/nfqueue-go/internal/kernel"
	"github.com/chifflier/nfqueue-go/internal/nlwire"
)

// Verdicts of linux/netfilter.h.
const (
	verdictDrop   = 0
	verdictAccept = 1
	verdictStolen = 2
	verdictQueue  = 3
	verdictRepeat = 4
	verdictStop   = 5
	verdictMask   = 0xff
	verdictBypass = 0x8000
)

// Least lengths of attributes; shorter ones are refused.
var (
	verdictPolicy = policy{
		attrVerdictHdr:    8,
		attrMark:          4,
		attrVLAN:          4,
		attrPriority:      4,
		attrCgroupClassID: 0,
	}
	batchPolicy = policy{attrVerdictHdr: 8, attrMark: 4, attrPriority: 4, attrCgroupClassID: 0}
)

// verdict acts on VERDICT, or on VERDICT_BATCH if batch is set, and returns the
// error number of the reply.
func (k *Kernel) verdict(c *Conn, number uint16, body []byte, batch bool) int32 {
	p := verdictPolicy
	if batch {
		p = batchPolicy
	}
	a, errno := p.parse(body)
	if errno != 0 {
		return errno
	}
	q := k.queues[number]
	if q == nil {
		return kernel.ENODEV
	}
	if q.owner != c {
		return kernel.EPERM
	}
	if a[attrVerdictHdr] == nil {
		return kernel.EINVAL
	}
	v := binary.BigEndian.Uint32(a[attrVerdictHdr])
	id := binary.BigEndian.Uint32(a[attrVerdictHdr][4:])
	if v&verdictMask > verdictStop || v&verdictMask == verdictStolen {
		return kernel.EINVAL
	}
	var taken []*Flight
	if batch {
		taken = q.takeUpTo(id)
	} else if f := q.take(id); f != nil {
		taken = []*Flight{f}
	}
	if len(taken) == 0 {
		return kernel.ENOENT
	}
	// The whole batch leaves the queue before its first packet goes on.
	for _, f := range taken {
		f.outcome.Hops = append(f.outcome.Hops, Hop{f.queue, f.id, v, batch})
		if c.rewritten(packetID{f.queue, f.id}) && v&verdictMask != verdictDrop && a[attrPayload] == nil {
			f.outcome.LostChange = true
		}
		if !batch {
			if errno := k.edit(f, a); errno != 0 {
				return errno
			}
			if f.ended() {
				continue
			}
		}
		f.mark(a)
		k.reinject(f, v)
	}
	return 0
}

// edit applies the attributes that only a VERDICT may have. If one of them is invalid it ends the
// flight; for some the kernel reports no error.
func (k *Kernel) edit(f *Flight, a [][]byte) int32 {
	p, e := &f.packet, &f.outcome.Edits
	if a[attrCT] != nil && k.flags&flagConntrack != 0 && p.Conntrack != nil {
		e.Conntrack = bytes.Clone(a[attrCT])
		if a[attrExp] != nil {
			e.Expect = bytes.Clone(a[attrExp])
		}
	}
	if p.Family == familyBridge {
		if errno := f.editLink(a); errno != 0 {
			f.end(BadLink, false)
			return errno
		}
	}
	if b := a[attrPayload]; b != nil {
		if len(b) < p.transportOffset() {
			f.end(BadPayload, false)
			return 0
		}
		p.Payload, p.Len = bytes.Clone(b), 0
		p.SKBInfo &^= skbChecksumNotReady // ip_summed becomes CHECKSUM_NONE
		e.Payload = true
	}
	return 0
}

// editLink is nfqa_parse_bridge.
func (f *Flight) editLink(a [][]byte) int32 {
	p, e := &f.packet, &f.outcome.Edits
	if a[attrVLAN] != nil {
		v, errno := policy{attrVLANProto: 2, attrVLANTCI: 2}.parse(a[attrVLAN])
		if errno != 0 {
			return errno
		}
		if v[attrVLANTCI] == nil || v[attrVLANProto] == nil {
			return kernel.EINVAL
		}
		p.VLAN = VLAN{binary.BigEndian.Uint16(v[attrVLANTCI]), binary.BigEndian.Uint16(v[attrVLANProto])}
		e.VLAN = true
	}
	if b := a[attrL2Hdr]; b != nil {
		if len(b) != len(p.LinkHeader) {
			return kernel.EINVAL
		}
		p.LinkHeader = bytes.Clone(b)
		e.LinkHeader = true
	}
	return 0
}

// mark applies the attributes that a VERDICT_BATCH may also have.
func (f *Flight) mark(a [][]byte) {
	if b := a[attrMark]; b != nil {
		f.packet.Mark, f.outcome.Edits.Mark = binary.BigEndian.Uint32(b), true
	}
	if b := a[attrPriority]; b != nil {
		f.packet.Priority, f.outcome.Edits.Priority = binary.BigEndian.Uint32(b), true
	}
}

func (f *Flight) ended() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// reinject is nf_reinject. The kernel compares ACCEPT and REPEAT with all 32 bits.
func (k *Kernel) reinject(f *Flight, v uint32) {
	switch {
	case v == verdictRepeat && f.again():
		k.enqueue(f, f.rule.Queue, f.rule.Bypass)
	case v == verdictRepeat, v&verdictMask == verdictAccept, v&verdictMask == verdictStop:
		f.end(Decided, true)
	case v&verdictMask == verdictQueue:
		k.enqueue(f, uint16(v>>16), v&verdictBypass != 0)
	default:
		f.end(Decided, false)
	}
}

// transportOffset returns where the kernel sees the transport header of a packet. A payload of a
// verdict must reach up to there.
func (p *Packet) transportOffset() int {
	if len(p.Payload) == 0 {
		return 1
	}
	switch p.Payload[0] >> 4 {
	case 4:
		return max(1, int(p.Payload[0]&0xf)*4)
	case 6:
		return 40
	}
	return 1
}

// policy has the least length in bytes of each attribute, by type. The kernel checks it before it
// reads any of them.
type policy []uint8

// parse returns the attributes by type, nil for absent ones. It ignores unknown types; of several
// attributes of a type the last one counts.
func (p policy) parse(b []byte) (attrs [][]byte, errno int32) {
	attrs = make([][]byte, len(p))
	for {
		typ, data, rest, ok := nlwire.NextAttr(b)
		if !ok {
			return attrs, 0
		}
		if int(typ) < len(p) {
			if len(data) < int(p[typ]) {
				return nil, kernel.ERANGE
			}
			attrs[typ] = data
		}
		b = rest
	}
}
