// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"bytes"
	"time"

	"github.com/chifflier/nfqueue-go/internal/kernel"
	"github.com/chifflier/nfqueue-go/internal/nfqmsg"
	"github.com/chifflier/nfqueue-go/internal/nlwire"
	"github.com/chifflier/nfqueue-go/internal/sender"
	"github.com/chifflier/nfqueue-go/internal/transport"
)

// receiver is the state of the reader, the one goroutine that receives. It keeps what a reader has
// not dispatched when it stops, because a handler panicked or because it only waited for a reply,
// for the next reader.
type receiver struct {
	q *Queue

	slab    *transport.Slab
	n       int // datagrams in slab
	cur     int // the next one to dispatch
	stash   []stashed
	counted int // of how many, of the first in stash, the bytes have been counted
	lastID  uint32
	bytes   uint64 // of payloads, not yet in the counters
	failed  int    // receive calls since one that succeeded
	spread  bool   // several workers decide at the same time

	at time.Duration // when what is in slab was received, if that is measured
}

// stashed is a datagram that was received while there was no handler.
type stashed struct {
	data      []byte
	truncated bool
	at        time.Duration
}

// receive waits for a batch. The slab must have been dispatched, unless the queue is closed.
func (r *receiver) receive() error {
	q := r.q
	if q.life.IsClosed() {
		return ErrClosed
	}
	r.n, r.cur = 0, 0
	n, err := q.conn.Recv(r.slab)
	if err == nil {
		r.n, r.failed, r.at = n, 0, q.times.Now()
		q.stats.batches.Add(1)
		r.countArrivals()
		q.loss.Traffic()
		q.slow.Traffic()
		return nil
	}
	if q.life.IsClosed() {
		return ErrClosed
	}
	if !sender.Transient(err) {
		return err
	}
	q.stats.receiveErrors.Add(1)
	q.log.Warn(sender.KindReceive, "nfqueue: receiving failed; trying again", "error", err)
	time.Sleep(receivePause << min(r.failed, maxReceivePauses))
	r.failed++
	return nil
}

// receivePause is the pause after the first of several receive calls that fail, so that a
// lasting lack of memory does not use up the processor too. It doubles up to ten
// milliseconds.
const (
	receivePause     = 10 * time.Microsecond
	maxReceivePauses = 10
)

// empty reports whether everything that was received has been dispatched.
func (r *receiver) empty() bool { return r.cur == r.n && len(r.stash) == 0 }

// stashRest moves what has not been dispatched out of the slab, which can then be received
// into.
func (r *receiver) stashRest() {
	for ; r.cur < r.n; r.cur++ {
		r.stashOne(r.slab.Slot(r.cur), *r.slab.Datagram(r.cur))
	}
}

func (r *receiver) stashOne(slot []byte, d transport.Datagram) {
	r.stash = append(r.stash, stashed{bytes.Clone(slot[:d.Len]), d.Truncated, r.at})
}

// dispatch decodes the datagram in slot, at time t, and reports whether it has a packet, now
// in p, that a handler is to decide.
func (r *receiver) dispatch(p *Packet, slot []byte, d transport.Datagram, t time.Duration) bool {
	q, b := r.q, slot[:d.Len]
	hdr, ok := nlwire.ParseHeader(b)
	if !ok || hdr.Len < nfqmsg.HeadersLen {
		q.malformed(b)
		return false
	}
	// The kernel puts one message into a datagram.
	truncated := d.Truncated || int64(hdr.Len) > int64(len(b))
	msg := b[:min(int64(hdr.Len), int64(len(b)))]
	switch {
	case hdr.Type == nfqmsg.Packet:
		if err := p.reset(q, slot, msg); err != nil || truncated || !p.attrs.IDFirst() {
			q.undecodable(msg, truncated, t)
			return false
		}
		r.bytes += uint64(len(p.payload))
		p.received = r.at
		return true
	case hdr.Type == nlwire.TypeError && !truncated:
		q.reply(msg)
	default:
		q.malformed(msg)
	}
	return false
}

// dispatchStashed is dispatch for the first stashed datagram, which is now in slot.
func (r *receiver) dispatchStashed(p *Packet, slot []byte, t time.Duration) (ok bool) {
	s := r.stash[0]
	if r.stash = r.stash[1:]; len(r.stash) == 0 {
		r.stash = nil
	}
	d := transport.Datagram{Len: len(s.data), Truncated: s.truncated}
	if r.counted > 0 {
		r.counted--
		ok = p.reset(r.q, slot, slot[:d.Len]) == nil
	} else {
		ok = r.dispatch(p, slot, d, t)
	}
	p.received = s.at
	return ok
}

// countBytes adds to the counters at the end of a batch.
func (r *receiver) countBytes() {
	r.q.stats.bytes.Add(r.bytes)
	r.bytes = 0
}

// stopReading lets another goroutine receive.
func (q *Queue) stopReading() {
	q.life.StopReading()
	q.abandonStash()
}

// abandonStash counts the packets of a closed queue that were received and not decided.
func (q *Queue) abandonStash() {
	if !q.life.IsClosed() {
		return
	}
	if !q.life.TryReading() { // the current reader does this when it stops reading
		return
	}
	defer q.life.StopReading()
	r := &q.rx
	r.stashRest()
	n := uint64(0)
	for _, s := range r.stash {
		if _, ok := nfqmsg.ArrivedID(s.data); ok {
			n++
		}
	}
	q.stats.abandoned.Add(n)
	r.stash, r.counted = nil, 0
}

// reply gives the kernel's answer to the goroutine that waits for it, and counts the refusal
// of a verdict.
func (q *Queue) reply(msg []byte) {
	errno, request, ok := nlwire.Errno(msg[nlwire.HeaderLen:])
	if !ok {
		q.malformed(msg)
		return
	}
	switch request.Type {
	case nfqmsg.Verdict, nfqmsg.VerdictBatch:
		if errno != 0 {
			q.refused(request.Seq, nfqmsg.RefusedVerdicts(request.PID, errno), errno)
		}
	default:
		q.replies.Deliver(request.Seq, errno)
	}
}

// refused counts n verdicts that the kernel refused. The sequence number of a verdict is the
// id of its packet.
func (q *Queue) refused(id uint32, n uint64, errno int32) {
	err := kernel.Error(errno)
	if errno == kernel.ENOENT {
		// The kernel has dropped the packet: its device went down, or a chain was removed.
		q.stats.tooLate.Add(n)
		q.log.Warn(sender.KindRefused, "nfqueue: the kernel no longer has the packet of a verdict",
			"id", id, "verdicts", n)
	} else {
		q.out.ForbidBatch() // the packet may still wait
		q.stats.refused.Add(n)
		q.log.Error(sender.KindRefused, "nfqueue: the kernel refused a verdict",
			"id", id, "verdicts", n, "error", err)
	}
	if n > 0 && q.cfg.OnRefused != nil {
		q.cfg.OnRefused(&VerdictError{ID: id, Verdicts: int(n), Err: err})
	}
}

// malformed counts a message that is not what the kernel sends. It may have been a packet,
// which cannot be decided, and which no batch may decide in passing.
func (q *Queue) malformed(msg []byte) {
	q.out.ForbidBatch()
	q.stats.malformed.Add(1)
	q.log.Error(sender.KindMalformed, "nfqueue: received a malformed message", "bytes", len(msg))
}

// undecodable gives the Fallback to a packet whose message cannot be used.
func (q *Queue) undecodable(msg []byte, truncated bool, t time.Duration) {
	counter := &q.stats.fallbackMalformed
	if truncated {
		counter = &q.stats.fallbackTruncated
	}
	id, ok := nfqmsg.PacketID(msg)
	if !ok {
		q.malformed(msg)
		return
	}
	q.log.Error(sender.KindMalformed,
		"nfqueue: a packet's message cannot be used; it gets the fallback",
		"id", id, "bytes", len(msg), "truncated", truncated)
	q.fallback(id, counter, sender.Verdict{Called: t, Returned: t, SendNext: true})
	_ = q.out.Flush() // the handlers of other packets may take their time
}

// mayBatch reports whether all packets before the current one have their verdict.
func (q *Queue) mayBatch() bool { return !q.rx.spread && q.held.Len() == 0 }
