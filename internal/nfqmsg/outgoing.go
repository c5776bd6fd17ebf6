// SPDX-License-Identifier: GPL-2.0-or-later

package nfqmsg

import (
	"encoding/binary"

	"github.com/chifflier/nfqueue-go/internal/nlwire"
)

// Decision is the verdict for one packet, as Outgoing.Add encodes it.
type Decision struct {
	ID   uint32 // of the packet
	Word uint32 // the verdict as the kernel expects it (NF_*)
	// Edits are the changes to the packet, nil for none. Their payload must not change
	// before the datagram has been sent.
	Edits *Edits
	// Batch says that no packet before ID waits for a verdict that is not in an earlier
	// message.
	Batch bool
}

// Outgoing is a datagram of verdicts under construction. It does not copy payloads: it
// remembers where they belong.
type Outgoing struct {
	template *template
	buf      []byte
	cuts     []cut
	firsts   []uint32 // of each VERDICT_BATCH, the first id that it is meant for
	size     int      // bytes of the datagram, payloads included
	count    int      // verdicts
	run      run
	pieces   [][]byte
}

// cut is a message with a payload: buf[start:at], then the payload, then
// buf[at:end], its padding.
type cut struct {
	start, at, end int
	payload        []byte
}

// run is the last message of an Outgoing while it may grow into a VERDICT_BATCH.
type run struct {
	at    int // where it starts in buf
	last  uint32
	word  uint32
	open  bool
	batch bool // it is one already
}

const (
	// outgoingCap is the memory for messages; two thousand plain verdicts.
	outgoingCap = 64 << 10
	// maxCuts keeps the pieces of a datagram below UIO_MAXIOV.
	maxCuts = 256
)

// NewOutgoing makes an empty datagram of verdicts of a queue.
func NewOutgoing(queue uint16) *Outgoing {
	return &Outgoing{template: newTemplate(queue), buf: make([]byte, 0, outgoingCap)}
}

// Reset empties the datagram and drops its references to payloads.
func (o *Outgoing) Reset() {
	clear(o.cuts)
	o.buf, o.cuts, o.firsts = o.buf[:0], o.cuts[:0], o.firsts[:0]
	o.size, o.count, o.run = 0, 0, run{}
}

// Count returns the number of verdicts in the datagram.
func (o *Outgoing) Count() int { return o.count }

// HasBatch reports whether the datagram has a VERDICT_BATCH message.
func (o *Outgoing) HasBatch() bool { return len(o.firsts) > 0 }

// Room reports whether a verdict with edits e, which may be nil, fits into a datagram of at
// most max bytes.
func (o *Outgoing) Room(e *Edits, max int) bool {
	if o.count == maxVerdicts {
		return false
	}
	need := verdictLen
	if e != nil && e.Set != 0 {
		need += e.maxLen()
		if len(o.cuts) == maxCuts {
			return false
		}
	}
	return o.size+need <= max && len(o.buf)+need-e.payloadLen() <= cap(o.buf)
}

// Add appends a verdict, for which there must be room. A run of equal plain verdicts over
// consecutive ids becomes one VERDICT_BATCH while d.Batch allows it.
func (o *Outgoing) Add(d Decision) {
	o.count++
	if d.Edits != nil && d.Edits.Set != 0 {
		o.addEdited(d)
		return
	}
	if r := &o.run; d.Batch && r.open && r.word == d.Word && r.last+1 == d.ID {
		if !r.batch {
			r.batch = true
			o.firsts = append(o.firsts, r.last)
		}
		extend(o.buf[r.at:], d.ID, d.ID-o.firsts[len(o.firsts)-1]+1)
		r.last = d.ID
		return
	}
	o.run = run{at: len(o.buf), last: d.ID, word: d.Word, open: d.Batch}
	o.buf = o.template.append(o.buf, d.ID, d.Word)
	o.size += verdictLen
}

func (o *Outgoing) addEdited(d Decision) {
	o.run.open = false
	start := len(o.buf)
	o.buf = d.Edits.appendTo(o.template.append(o.buf, d.ID, d.Word))
	if d.Edits.Has(EditPayload) {
		payload := d.Edits.Payload
		o.buf = nlwire.AppendAttrHeader(o.buf, AttrPayload, len(payload))
		at := len(o.buf)
		o.buf = nlwire.Pad(o.buf, len(payload))
		o.cuts = append(o.cuts, cut{start, at, len(o.buf), payload})
		o.size += len(payload)
	}
	n := len(o.buf) - start + d.Edits.payloadLen()
	binary.NativeEndian.PutUint32(o.buf[start:], uint32(n))
	o.size += len(o.buf) - start
}

// Datagram returns the pieces to send, valid until o is changed.
func (o *Outgoing) Datagram() [][]byte {
	stamp(o.buf, o.count)
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

// Message is one verdict message of an Outgoing, for when it must be sent alone.
type Message struct {
	template *template
	head     []byte // without the payload
	payload  []byte
	pad      []byte
	first    uint32 // differs from the id for a VERDICT_BATCH
}

// ID returns the id of the packet, the last one for a VERDICT_BATCH.
func (m Message) ID() uint32 { return binary.BigEndian.Uint32(m.head[verdictID:]) }

// Count returns the number of verdicts that the message stands for.
func (m Message) Count() int { return int(m.ID()-m.first) + 1 }

// Word returns the verdict.
func (m Message) Word() uint32 { return binary.BigEndian.Uint32(m.head[verdictWord:]) }

// HasPayload reports whether the message replaces the packet's payload.
func (m Message) HasPayload() bool { return len(m.payload) > 0 }

// Datagram returns the pieces of a datagram of this message alone.
func (m Message) Datagram() [][]byte {
	stamp(m.head, m.Count())
	pieces := [][]byte{m.head}
	for _, more := range [...][]byte{m.payload, m.pad} {
		if len(more) > 0 {
			pieces = append(pieces, more)
		}
	}
	return pieces
}

// Plain returns a message with another verdict for the same packet and no edits.
func (m Message) Plain(word uint32) Message { return m.plain(m.ID(), word) }

// Singles yields a plain message for each packet that a VERDICT_BATCH stands for.
func (m Message) Singles(yield func(Message) bool) {
	for id := m.first; yield(m.plain(id, m.Word())) && id != m.ID(); id++ {
	}
}

func (m Message) plain(id, word uint32) Message {
	return Message{template: m.template, head: m.template.append(nil, id, word), first: id}
}

// Messages yields the messages of o one by one.
func (o *Outgoing) Messages(yield func(Message) bool) {
	cuts, firsts := o.cuts, o.firsts
	for at := 0; at < len(o.buf); {
		m := Message{template: o.template}
		if len(cuts) > 0 && cuts[0].start == at {
			c := cuts[0]
			cuts = cuts[1:]
			m.head, m.payload, m.pad = o.buf[at:c.at], c.payload, o.buf[c.at:c.end]
			at = c.end
		} else {
			n := int(binary.NativeEndian.Uint32(o.buf[at:]))
			m.head = o.buf[at : at+n]
			at += n
		}
		m.first = m.ID()
		if binary.NativeEndian.Uint16(m.head[4:]) == VerdictBatch {
			m.first, firsts = firsts[0], firsts[1:]
		}
		if !yield(m) {
			return
		}
	}
}
