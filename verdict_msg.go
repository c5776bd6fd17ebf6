// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"encoding/binary"

	"github.com/chifflier/nfqueue-go/internal/nlwire"
)

// Layout of a verdict without further attributes: netlink header, nfgenmsg, and
// NFQA_VERDICT_HDR with verdict and id. A VERDICT_BATCH has the same layout, its id
// being the last one that it decides.
const (
	verdictSeq  = 8
	verdictWord = nlwire.HeaderLen + nfgenmsgLen + nlwire.AttrHeaderLen
	verdictID   = verdictWord + 4
	verdictLen  = verdictID + 4
)

// verdictTemplate is a verdict of a queue with everything but sequence number,
// verdict and id.
type verdictTemplate [verdictLen]byte

func newVerdictTemplate(queue uint16) *verdictTemplate {
	b := nlwire.AppendHeader(nil, msgVerdict, nlwire.FlagRequest, 0)
	b = appendNfgenmsg(b, queue)
	b = nlwire.AppendAttr(b, attrVerdictHdr, make([]byte, 8))
	nlwire.Finish(b, 0)
	return (*verdictTemplate)(b)
}

// append appends a plain verdict. Its sequence number is the packet's id, which an
// error reply repeats.
func (t *verdictTemplate) append(b []byte, id uint32, v Verdict) []byte {
	b = append(b, t[:]...)
	m := (*verdictTemplate)(b[len(b)-verdictLen:])
	binary.NativeEndian.PutUint32(m[verdictSeq:], id)
	binary.BigEndian.PutUint32(m[verdictWord:], uint32(v))
	binary.BigEndian.PutUint32(m[verdictID:], id)
	return b
}

// extend makes the plain verdict m decide all packets up to id.
func extendVerdict(m []byte, id uint32) {
	binary.NativeEndian.PutUint16(m[4:], msgVerdictBatch)
	binary.NativeEndian.PutUint32(m[verdictSeq:], id)
	binary.BigEndian.PutUint32(m[verdictID:], id)
}

// appendEdits appends the attributes for everything edited but the payload.
func (e *edits) appendTo(b []byte) []byte {
	if e.has(editMark) {
		b = nlwire.AppendAttrU32(b, attrMark, e.mark)
	}
	if e.has(editPriority) {
		b = nlwire.AppendAttrU32(b, attrPriority, e.priority)
	}
	if e.has(editVLAN) {
		at := len(b)
		b = nlwire.AppendNest(b, attrVLAN)
		b = nlwire.AppendAttrU16(b, attrVLANTCI, e.vlan.TCI)
		b = nlwire.AppendAttrU16(b, attrVLANProto, e.vlan.Protocol)
		nlwire.EndNest(b, at)
	}
	if e.has(editLinkHeader) {
		b = nlwire.AppendAttr(b, attrL2Hdr, e.link)
	}
	if e.has(editConntrack) {
		b = appendNested(b, attrCT, e.ct)
	}
	if e.has(editExpect) {
		b = appendNested(b, attrExp, e.exp)
	}
	return b
}

func appendNested(b []byte, typ uint16, attrs []byte) []byte {
	return nlwire.AppendAttr(b, typ|nlwire.Nested, attrs)
}
