// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/chifflier/nfqueue-go/internal/holding"
	"github.com/chifflier/nfqueue-go/internal/nfqmsg"
	"github.com/chifflier/nfqueue-go/internal/sender"
)

// Held is a packet whose verdict was deferred, and the right to decide it. Any goroutine may
// decide it, once. A packet that is never resolved stays in the kernel and counts against
// Config.MaxLen until the queue shuts down.
type Held struct {
	queue  *Queue
	packet Packet
	state  atomic.Uint32

	entry   holding.Entry[*Held]
	verdict Verdict // set by the one that has claimed it
}

// The states of a Held.
const (
	heldWaits uint32 = iota
	heldDecided
	heldAbandoned // the queue was closed
)

// Defer keeps the packet beyond the handler, which must then return Deferred, and
// returns the right to decide it. The Held owns a copy, with the edits made so far;
// p itself is still only valid until the handler returns. If the handler returns a
// verdict instead, that one counts and the Held is void.
func (p *Packet) Defer() *Held { return p.deferUntil(time.Time{}) }

// DeferTimeout is Defer with a limit: a packet that is not resolved within d gets
// the Fallback. It also sets the limit of a packet that was deferred before; the last call
// counts.
func (p *Packet) DeferTimeout(d time.Duration) *Held { return p.deferUntil(time.Now().Add(d)) }

func (p *Packet) deferUntil(deadline time.Time) *Held {
	switch {
	case p.held == nil && !p.deciding:
		panic("nfqueue: Defer outside of the packet's handler")
	case p.held == nil:
		h := &Held{queue: p.queue}
		p.cloneInto(&h.packet)
		p.held = h
		p.queue.stats.deferred.Add(1)
		p.queue.held.Add(&h.entry, h, deadline)
		if p.queue.life.IsClosed() { // and Close may not have seen it
			h.abandon()
		}
	case !deadline.IsZero():
		p.queue.held.SetDeadline(&p.held.entry, deadline)
	}
	return p.held
}

// Packet returns the packet, which is valid until it is resolved. Its Set methods
// may be called until then, by one goroutine at a time.
func (h *Held) Packet() *Packet { return &h.packet }

// Resolve gives the verdict. It fails with ErrResolved when the packet already has one, such
// as the Fallback of DeferTimeout; with ErrInvalidVerdict, after which it may be called again;
// and with ErrClosed when the queue was closed, which dropped the packet, or after File left it
// undecided. Stats counts a verdict that the kernel refuses later.
func (h *Held) Resolve(v Verdict) error {
	if err := v.check(); err != nil {
		return h.queue.opError("resolve", err)
	}
	if h.queue.life.IsClosed() {
		h.abandon()
	}
	if !h.claim() {
		if h.abandoned() {
			return h.queue.opError("resolve", ErrClosed)
		}
		return h.queue.opError("resolve", ErrResolved)
	}
	var edits *nfqmsg.Edits
	if v != Drop {
		edits = &h.packet.edits
	}
	defer h.queue.out.Kick() // a Logger may panic
	h.decide(v, edits)
	h.queue.watchRounds(&h.packet, v)
	return nil
}

// claim reports whether the caller is the one that decides.
func (h *Held) claim() bool { return h.state.CompareAndSwap(heldWaits, heldDecided) }

// abandoned reports whether the queue was closed before the packet had its verdict.
func (h *Held) abandoned() bool { return h.state.Load() == heldAbandoned }

// decide gives the verdict to the sender, with edits, nil for none. Only then is the packet
// no longer held: no VERDICT_BATCH may come before.
func (h *Held) decide(v Verdict, edits *nfqmsg.Edits) {
	t := sender.Now()
	h.queue.times.Decided(h.packet.received)
	h.verdict = v
	h.queue.out.Add(sender.Verdict{
		Decision: nfqmsg.Decision{ID: h.packet.id, Word: uint32(v), Edits: edits},
		Called:   t, Returned: t, SendNext: true, Holder: (*decided)(h),
	})
}

// decided is a Held whose verdict is being added.
type decided Held

// Added implements sender.Holder.
func (d *decided) Added() {
	d.queue.held.Remove(&d.entry, d.queue.out.Counters.Kind(uint32(d.verdict)))
}

// heldSet has the packets that wait to be resolved.
type heldSet = holding.Set[*Held]

// expire gives the Fallback to a packet whose time has passed, or at the end of the queue. The
// caller kicks the sender next. The verdict has no edits: another goroutine may be editing the
// packet.
func (h *Held) expire(counter *atomic.Uint64) {
	if h.claim() {
		counter.Add(1)
		h.decide(h.queue.cfg.Fallback, nil)
	}
}

// abandon takes back the right to decide a packet of a closed queue. The kernel has dropped it.
func (h *Held) abandon() {
	if h.state.CompareAndSwap(heldWaits, heldAbandoned) {
		h.queue.held.Remove(&h.entry, &h.queue.stats.abandoned)
	}
}

// decideHeld waits until ctx ends for the packets that are held. Those left get the Fallback. Then
// it waits for calls of Resolve that have begun.
func (q *Queue) decideHeld(ctx context.Context) {
	q.held.Wait(ctx, q.life.Done())
	for _, h := range q.held.Owners() {
		h.expire(&q.stats.fallbackShutdown)
	}
	q.out.Kick()
	q.held.Wait(context.Background(), q.life.Done())
}
