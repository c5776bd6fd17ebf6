// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"time"

	"github.com/chifflier/nfqueue-go/internal/kernel"
	"github.com/chifflier/nfqueue-go/internal/nfqmsg"
	"github.com/chifflier/nfqueue-go/internal/nlwire"
	"github.com/chifflier/nfqueue-go/internal/sender"
	"github.com/chifflier/nfqueue-go/internal/transport"
)

// receiver is what the one goroutine that receives works on. What it has not
// handled when it stops, because a handler panicked or only a reply was awaited,
// the next one finds here.
type receiver struct {
	slab   *transport.Slab
	n      int // datagrams in slab
	cur    int // the next one to handle
	stash  []stashed
	known  int // of how many, of the first in stash, the bytes have been counted
	lastID uint32
	bytes  uint64 // of payloads, not yet in the counters
	failed int    // receive calls since one that did not
	spread bool   // several workers decide at the same time

	worker worker
	packet Packet // that worker decides
}

// stashed is a datagram that was received while no handler was there.
type stashed struct {
	data      []byte
	truncated bool
}

// receive waits for a batch. The slab must have been handled, unless the queue is closed.
func (q *Queue) receive() error {
	if q.closed.Load() {
		return ErrClosed
	}
	q.n, q.cur = 0, 0
	n, err := q.conn.Recv(q.slab)
	if err == nil {
		q.n, q.failed = n, 0
		q.stats.batches.Add(1)
		q.came()
		q.loss.traffic()
		return nil
	}
	if q.closed.Load() {
		return ErrClosed
	}
	if !sender.Transient(err) {
		return err
	}
	q.stats.receiveErrors.Add(1)
	q.log.Warn(sender.KindReceive, "nfqueue: receiving failed; trying again", "error", err)
	time.Sleep(receivePause << min(q.failed, maxReceivePauses))
	q.failed++
	return nil
}

// receivePause is the pause after the first of several receive calls that fail, so that
// a lasting want of memory does not take the processor too. It doubles up to ten
// milliseconds.
const (
	receivePause     = 10 * time.Microsecond
	maxReceivePauses = 10
)

// came counts the packets of a batch before the first of them is handled: a handler that
// does not return must not keep them from the books. Ids that were left out are packets
// that did not fit into the receive buffer.
func (q *Queue) came() {
	var received, lost uint64
	shared := q.shared.Load()
	for i := q.cur; i < q.n; i++ {
		id, ok := nfqmsg.ArrivedID(q.slab.Slot(i)[:q.slab.Datagram(i).Len])
		if !ok {
			continue
		}
		received++
		if !shared {
			lost += uint64(id - q.lastID - 1)
		}
		q.lastID = id
	}
	q.stats.lost.Add(lost)
	q.stats.received.Add(received)
}

// stashRest moves what has not been handled out of the slab, which can then be
// received into.
func (q *Queue) stashRest() {
	for ; q.cur < q.n; q.cur++ {
		d := q.slab.Datagram(q.cur)
		q.stash = append(q.stash, stashed{append([]byte(nil), q.slab.Slot(q.cur)[:d.Len]...), d.Truncated})
	}
}

// take sees to the datagram in the first n bytes of slot, at time t. It reports true
// when that is a packet, now in p, that a handler is to decide.
func (q *Queue) take(p *Packet, slot []byte, n int, truncated bool, t time.Duration) bool {
	hdr, ok := nlwire.ParseHeader(slot[:n])
	if !ok || hdr.Len < nlwire.HeaderLen+4 {
		q.malformed(slot[:n])
		return false
	}
	// The kernel puts one message into a datagram.
	truncated = truncated || int64(hdr.Len) > int64(n)
	msg := slot[:min(int64(hdr.Len), int64(n))]
	switch {
	case hdr.Type == nfqmsg.Packet:
		if err := p.reset(q, slot, msg); err != nil || truncated || !p.attrs.IDFirst() {
			q.undecodable(msg, truncated, t)
			return false
		}
		q.bytes += uint64(len(p.payload))
		return true
	case hdr.Type == nlwire.TypeError && !truncated:
		q.reply(msg)
	default:
		q.malformed(msg)
	}
	return false
}

// countBytes adds to the counters at the end of a batch.
func (q *Queue) countBytes() {
	q.stats.bytes.Add(q.bytes)
	q.bytes = 0
}

// takeStashed is take for the first of what was stashed, which is now in slot.
func (q *Queue) takeStashed(p *Packet, slot []byte, t time.Duration) bool {
	s := q.stash[0]
	if q.stash = q.stash[1:]; len(q.stash) == 0 {
		q.stash = nil
	}
	if q.known > 0 {
		q.known--
		return p.reset(q, slot, slot[:len(s.data)]) == nil
	}
	return q.take(p, slot, len(s.data), s.truncated, t)
}

// releaseReader lets another goroutine receive.
func (q *Queue) releaseReader() {
	<-q.reader
	q.abandonStash()
}

// abandonStash counts the packets of a closed queue that were received, and that nobody
// will decide.
func (q *Queue) abandonStash() {
	if !q.closed.Load() {
		return
	}
	select {
	case q.reader <- struct{}{}:
		q.stashRest()
		n := uint64(0)
		for _, s := range q.stash {
			if _, ok := nfqmsg.ArrivedID(s.data); ok {
				n++
			}
		}
		q.stats.abandoned.Add(n)
		q.stash, q.known = nil, 0
		<-q.reader
	default: // whoever is the reader does it when he ends
	}
}

// reply hands the kernel's answer to whoever waits for it, and counts the refusal
// of a verdict.
func (q *Queue) reply(msg []byte) {
	errno, request, ok := nlwire.Errno(msg[nlwire.HeaderLen:])
	if !ok {
		q.malformed(msg)
		return
	}
	switch request.Type {
	case nfqmsg.Verdict, nfqmsg.VerdictBatch:
		if errno == 0 {
			return
		}
		q.refused(request.Seq, nfqmsg.RefusedVerdicts(request.PID, errno), errno)
	default:
		q.replies.deliver(request.Seq, errno)
	}
}

// refused counts n verdicts that the kernel did not take. The sequence number of a
// verdict is the id of its packet.
func (q *Queue) refused(id uint32, n uint64, errno int32) {
	err := kernel.Error(errno)
	if errno == kernel.ENOENT {
		// The packet has gone meanwhile: its device went down, or a chain was removed.
		q.stats.gone.Add(n)
		q.log.Warn(sender.KindRefused, "nfqueue: the kernel no longer has the packet of a verdict", "id", id, "verdicts", n)
	} else {
		// The packet may still wait, and must not be decided by a batch.
		q.out.ForbidBatch()
		q.stats.refused.Add(n)
		q.log.Error(sender.KindRefused, "nfqueue: the kernel refused a verdict", "id", id, "verdicts", n, "error", err)
	}
	if n > 0 && q.cfg.OnRefused != nil {
		q.cfg.OnRefused(&VerdictError{ID: id, Verdicts: int(n), Err: err})
	}
}

// malformed counts a message that is not what the kernel sends. It may have been a
// packet, which cannot be decided, and which no batch may decide in passing.
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
	counter.Add(1)
	q.log.Error(sender.KindMalformed, "nfqueue: a packet's message cannot be used; it gets the fallback", "id", id, "bytes", len(msg), "truncated", truncated)
	q.out.Add(sender.Verdict{Decision: nfqmsg.Decision{ID: id, Word: uint32(q.cfg.Fallback), Batch: q.mayBatch()}, Called: t, Returned: t, SendNext: true})
	_ = q.out.Flush() // the handlers of other packets may take their time
}

// mayBatch reports whether all packets before the current one have their verdict.
func (q *Queue) mayBatch() bool {
	return !q.spread && q.held.live.Load() == 0
}
