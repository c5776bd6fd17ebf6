// SPDX-License-Identifier: GPL-2.0-or-later

package nfqmsg

import (
	"encoding/binary"

	"github.com/chifflier/nfqueue-go/internal/kernel"
	"github.com/chifflier/nfqueue-go/internal/nlwire"
)

// Layout of a verdict without further attributes: the headers and NFQA_VERDICT_HDR with
// verdict and id. A VERDICT_BATCH has the same layout; its id is the last one that it
// decides.
const (
	verdictSeq  = 8
	verdictPID  = 12
	verdictWord = HeadersLen + nlwire.AttrHeaderLen
	verdictID   = verdictWord + 4
	verdictLen  = verdictID + 4
)

// template is a verdict of a queue with everything but sequence number, verdict and id.
type template [verdictLen]byte

func newTemplate(queue uint16) *template {
	b := nlwire.AppendHeader(nil, Verdict, nlwire.FlagRequest, 0)
	b = appendGenmsg(b, queue)
	b = nlwire.AppendAttr(b, AttrVerdictHdr, make([]byte, 8))
	nlwire.Finish(b, 0)
	return (*template)(b)
}

// append appends a plain verdict. Its sequence number is the packet's id, which an
// error reply repeats.
func (t *template) append(b []byte, id, word uint32) []byte {
	b = append(b, t[:]...)
	m := (*template)(b[len(b)-verdictLen:])
	binary.NativeEndian.PutUint32(m[verdictSeq:], id)
	binary.BigEndian.PutUint32(m[verdictWord:], word)
	binary.BigEndian.PutUint32(m[verdictID:], id)
	return b
}

// extend makes the plain verdict m decide all packets up to id, which are n.
func extend(m []byte, id, n uint32) {
	binary.NativeEndian.PutUint16(m[4:], VerdictBatch)
	binary.NativeEndian.PutUint32(m[verdictSeq:], id)
	binary.NativeEndian.PutUint32(m[verdictPID:], n)
	binary.BigEndian.PutUint32(m[verdictID:], id)
}

// The field nlmsg_pid of a verdict tells how many verdicts its message stands for (0 is 1)
// and, in the first message of a datagram, how many the datagram holds. The kernel does not
// look at it and repeats it in an error (netlink_ack).
const (
	ownVerdicts   = 1<<datagramShift - 1
	datagramShift = 16
	maxVerdicts   = ownVerdicts // in a datagram
)

// stamp notes in the first message of a datagram how many verdicts the datagram holds.
func stamp(m []byte, n int) {
	own := binary.NativeEndian.Uint32(m[verdictPID:]) & ownVerdicts
	binary.NativeEndian.PutUint32(m[verdictPID:], own|uint32(n)<<datagramShift)
}

// RefusedVerdicts returns how many verdicts the kernel has refused when it answers with an
// error to a message with this nlmsg_pid. Without CAP_NET_ADMIN it discards a whole datagram
// and answers its first message (nfnetlink_rcv). EPERM also means that the queue has become
// another socket's; then every message is answered, and the first stands for all.
func RefusedVerdicts(pid uint32, errno int32) uint64 {
	if errno == kernel.EPERM {
		return uint64(pid >> datagramShift)
	}
	return uint64(max(pid&ownVerdicts, 1))
}
