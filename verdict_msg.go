// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"encoding/binary"

	"github.com/chifflier/nfqueue-go/internal/kernel"
	"github.com/chifflier/nfqueue-go/internal/nlwire"
)

// Layout of a verdict without further attributes: netlink header, nfgenmsg, and
// NFQA_VERDICT_HDR with verdict and id. A VERDICT_BATCH has the same layout, its id
// being the last one that it decides.
const (
	verdictSeq  = 8
	verdictPID  = 12
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

// extendVerdict makes the plain verdict m decide all packets up to id, which are n.
func extendVerdict(m []byte, id, n uint32) {
	binary.NativeEndian.PutUint16(m[4:], msgVerdictBatch)
	binary.NativeEndian.PutUint32(m[verdictSeq:], id)
	binary.NativeEndian.PutUint32(m[verdictPID:], n)
	binary.BigEndian.PutUint32(m[verdictID:], id)
}

// The field nlmsg_pid of a verdict tells how many verdicts its message stands for (0 is
// 1) and, of the first message in a datagram, how many the datagram does. The kernel
// does not look at it and repeats it in an error (netlink_ack).
const (
	ownVerdicts   = 1<<datagramShift - 1
	datagramShift = 16
	maxVerdicts   = ownVerdicts // in a datagram
)

// stampDatagram notes in the first message of a datagram how many verdicts that holds.
func stampDatagram(m []byte, n int) {
	own := binary.NativeEndian.Uint32(m[verdictPID:]) & ownVerdicts
	binary.NativeEndian.PutUint32(m[verdictPID:], own|uint32(n)<<datagramShift)
}

// refusedVerdicts returns how many verdicts the kernel has refused when it answers a
// message with an error. For want of CAP_NET_ADMIN it discards a whole datagram and
// answers its first message (nfnetlink_rcv). EPERM also means that the queue has become
// another socket's; then every message is answered, and the first stands for all.
func refusedVerdicts(pid uint32, errno int32) uint64 {
	if errno == kernel.EPERM {
		return uint64(pid >> datagramShift)
	}
	return uint64(max(pid&ownVerdicts, 1))
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
