// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"encoding/binary"

	"github.com/chifflier/nfqueue-go/internal/nlwire"
)

// outgoing is a datagram of verdicts in the making. Payloads are not copied into
// it: it remembers where they belong.
type outgoing struct {
	buf    []byte
	cuts   []cut
	firsts []uint32 // of each VERDICT_BATCH, the first id that it is meant for
	size   int      // bytes of the datagram, payloads included
	count  int      // verdicts
	kinds  tally    // of those that nobody else counts
	run    run
	pieces [][]byte
}

// cut is a message with a payload: buf[start:at], then the payload, then
// buf[at:end], its padding.
type cut struct {
	start, at, end int
	payload        []byte
}

// run is the last message of an outgoing while it may grow into a VERDICT_BATCH.
type run struct {
	at      int // where it starts in buf
	last    uint32
	verdict Verdict
	open    bool
	batch   bool // it is one already
}

const (
	// outgoingCap is the memory for messages; two thousand plain verdicts.
	outgoingCap = 64 << 10
	// maxCuts keeps the pieces of a datagram below UIO_MAXIOV.
	maxCuts = 256
)

func newOutgoing() *outgoing { return &outgoing{buf: make([]byte, 0, outgoingCap)} }

func (o *outgoing) reset() {
	clear(o.cuts) // let go of the payloads
	o.buf, o.cuts, o.firsts, o.size, o.count, o.run = o.buf[:0], o.cuts[:0], o.firsts[:0], 0, 0, run{}
}

// room reports whether a verdict with the edits of p, which may be nil, fits into
// a datagram of at most max bytes.
func (o *outgoing) room(p *Packet, max int) bool {
	if o.count == maxVerdicts {
		return false
	}
	need := verdictLen
	if p != nil && p.edits.set != 0 {
		const fixed = 8 + 8 + 20 + 3*(nlwire.AttrHeaderLen+3) + nlwire.AttrHeaderLen + 3
		need += fixed + len(p.edits.link) + len(p.edits.ct) + len(p.edits.exp) + payloadLen(p)
		if len(o.cuts) == maxCuts {
			return false
		}
	}
	return o.size+need <= max && len(o.buf)+need-payloadLen(p) <= cap(o.buf)
}

func payloadLen(p *Packet) int {
	if p == nil || !p.edits.has(editPayload) {
		return 0
	}
	return len(p.payload)
}

// add appends the verdict for a packet. p holds its edits, nil for none. batch
// says that no packet before id waits for a verdict that is not in an earlier
// message: then a run of equal plain verdicts over consecutive ids becomes one
// VERDICT_BATCH.
func (o *outgoing) add(t *verdictTemplate, id uint32, v Verdict, p *Packet, batch bool) {
	o.count++
	if p != nil && p.edits.set != 0 {
		o.addEdited(t, id, v, p)
		return
	}
	if r := &o.run; batch && r.open && r.verdict == v && r.last+1 == id {
		if !r.batch {
			r.batch = true
			o.firsts = append(o.firsts, r.last)
		}
		extendVerdict(o.buf[r.at:], id, id-o.firsts[len(o.firsts)-1]+1)
		r.last = id
		return
	}
	o.run = run{at: len(o.buf), last: id, verdict: v, open: batch}
	o.buf = t.append(o.buf, id, v)
	o.size += verdictLen
}

func (o *outgoing) addEdited(t *verdictTemplate, id uint32, v Verdict, p *Packet) {
	o.run.open = false
	start := len(o.buf)
	o.buf = p.edits.appendTo(t.append(o.buf, id, v))
	if p.edits.has(editPayload) {
		o.buf = nlwire.AppendAttrHeader(o.buf, attrPayload, len(p.payload))
		at := len(o.buf)
		o.buf = nlwire.Pad(o.buf, len(p.payload))
		o.cuts = append(o.cuts, cut{start, at, len(o.buf), p.payload})
		o.size += len(p.payload)
	}
	n := len(o.buf) - start + payloadLen(p)
	binary.NativeEndian.PutUint32(o.buf[start:], uint32(n))
	o.size += len(o.buf) - start
}

// datagram returns the pieces to send, valid until o is changed.
func (o *outgoing) datagram() [][]byte {
	stampDatagram(o.buf, o.count)
	o.pieces = o.pieces[:0]
	from := 0
	for i := range o.cuts {
		c := &o.cuts[i]
		o.pieces = append(o.pieces, o.buf[from:c.at], c.payload)
		from = c.at
	}
	if from < len(o.buf) {
		o.pieces = append(o.pieces, o.buf[from:])
	}
	return o.pieces
}

// message is one verdict of an outgoing, for when it must be sent alone.
type message struct {
	head    []byte // without the payload
	payload []byte
	pad     []byte
	first   uint32 // differs from id for a VERDICT_BATCH
}

func (m message) id() uint32 { return binary.BigEndian.Uint32(m.head[verdictID:]) }

// count is the number of verdicts that the message stands for.
func (m message) count() int { return int(m.id()-m.first) + 1 }

func (m message) verdict() Verdict { return Verdict(binary.BigEndian.Uint32(m.head[verdictWord:])) }

// messages yields the messages of o one by one.
func (o *outgoing) messages(yield func(message) bool) {
	cuts, firsts := o.cuts, o.firsts
	for at := 0; at < len(o.buf); {
		var m message
		if len(cuts) > 0 && cuts[0].start == at {
			c := cuts[0]
			cuts = cuts[1:]
			m = message{head: o.buf[at:c.at], payload: c.payload, pad: o.buf[c.at:c.end]}
			at = c.end
		} else {
			n := int(binary.NativeEndian.Uint32(o.buf[at:]))
			m.head = o.buf[at : at+n]
			at += n
		}
		m.first = m.id()
		if binary.NativeEndian.Uint16(m.head[4:]) == msgVerdictBatch {
			m.first, firsts = firsts[0], firsts[1:]
		}
		if !yield(m) {
			return
		}
	}
}
