// SPDX-License-Identifier: GPL-2.0-or-later

package nfqmsg

import (
	"bytes"

	"github.com/chifflier/nfqueue-go/internal/nlwire"
)

// EditSet tells which fields of Edits count.
type EditSet uint8

// Members of an EditSet, each for the field of its name.
const (
	EditPayload EditSet = 1 << iota
	EditMark
	EditPriority
	EditVLAN
	EditLink
	EditConntrack
	EditExpect
)

// Edits are the changes to a packet that its verdict carries.
type Edits struct {
	Set       EditSet
	Mark      uint32
	Priority  uint32
	VLANTCI   uint16
	VLANProto uint16
	Link      []byte
	Conntrack []byte // CTA_* attributes to nest in NFQA_CT
	Expect    []byte // CTA_EXPECT_* attributes to nest in NFQA_EXP
	Payload   []byte
}

// Has reports whether one of s is set.
func (e *Edits) Has(s EditSet) bool { return e.Set&s != 0 }

// Reset drops all edits and keeps their memory for the next packet.
func (e *Edits) Reset() {
	if e.Has(EditPayload) {
		e.Payload = nil
	}
	e.Set = 0
	e.Link, e.Conntrack, e.Expect = e.Link[:0], e.Conntrack[:0], e.Expect[:0]
}

// Own gives copied edits memory of their own.
func (e *Edits) Own() {
	e.Link, e.Conntrack = bytes.Clone(e.Link), bytes.Clone(e.Conntrack)
	e.Expect, e.Payload = bytes.Clone(e.Expect), bytes.Clone(e.Payload)
}

// maxLen is the most that the attributes of the edits take, payload included.
func (e *Edits) maxLen() int {
	const fixed = 8 + 8 + 20 + 3*(nlwire.AttrHeaderLen+3) + nlwire.AttrHeaderLen + 3
	return fixed + len(e.Link) + len(e.Conntrack) + len(e.Expect) + e.payloadLen()
}

func (e *Edits) payloadLen() int {
	if e == nil || !e.Has(EditPayload) {
		return 0
	}
	return len(e.Payload)
}

// appendTo appends the attributes for everything edited but the payload.
func (e *Edits) appendTo(b []byte) []byte {
	if e.Has(EditMark) {
		b = nlwire.AppendAttrU32(b, AttrMark, e.Mark)
	}
	if e.Has(EditPriority) {
		b = nlwire.AppendAttrU32(b, AttrPriority, e.Priority)
	}
	if e.Has(EditVLAN) {
		at := len(b)
		b = nlwire.AppendNest(b, AttrVLAN)
		b = nlwire.AppendAttrU16(b, AttrVLANTCI, e.VLANTCI)
		b = nlwire.AppendAttrU16(b, AttrVLANProto, e.VLANProto)
		nlwire.EndNest(b, at)
	}
	if e.Has(EditLink) {
		b = nlwire.AppendAttr(b, AttrL2Hdr, e.Link)
	}
	if e.Has(EditConntrack) {
		b = nlwire.AppendAttr(b, AttrCT|nlwire.Nested, e.Conntrack)
	}
	if e.Has(EditExpect) {
		b = nlwire.AppendAttr(b, AttrExp|nlwire.Nested, e.Expect)
	}
	return b
}
