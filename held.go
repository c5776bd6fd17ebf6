// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"container/heap"
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chifflier/nfqueue-go/internal/nfqmsg"
	"github.com/chifflier/nfqueue-go/internal/sender"
)

// Held is a packet whose verdict was deferred, and the right to decide it. Any
// goroutine may do that, once. One that is never resolved stays in the kernel and
// counts against MaxLen until the queue shuts down.
type Held struct {
	queue  *Queue
	packet Packet
	state  atomic.Uint32

	// Owned by heldSet.mu.
	prev, next *Held
	deadline   time.Duration
	index      int // in the heap of deadlines, -1 if it has none
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
func (p *Packet) Defer() *Held { return p.deferUntil(0) }

// DeferTimeout is Defer with a limit: a packet that is not resolved within d gets
// the Fallback. It also sets the limit of a packet that was deferred before; the last call
// counts.
func (p *Packet) DeferTimeout(d time.Duration) *Held {
	t := sender.Now()
	deadline := t + max(d, 1)
	if deadline < t { // so long that it overflows
		deadline = math.MaxInt64
	}
	return p.deferUntil(deadline)
}

func (p *Packet) deferUntil(deadline time.Duration) *Held {
	if p.held == nil {
		if !p.deciding {
			panic("nfqueue: Defer outside of the packet's handler")
		}
		h := &Held{queue: p.queue, index: -1, deadline: deadline}
		p.cloneInto(&h.packet)
		p.held = h
		p.queue.stats.deferred.Add(1)
		p.queue.held.add(h)
		if p.queue.life.IsClosed() { // and Close may not have seen it
			p.queue.held.abandon(h)
		}
	} else if deadline != 0 {
		p.queue.held.setDeadline(p.held, deadline)
	}
	return p.held
}

// Packet returns the packet, which is valid until it is resolved. Its Set methods
// may be called until then, by one goroutine at a time.
func (h *Held) Packet() *Packet { return &h.packet }

// Resolve gives the verdict. It fails with ErrResolved when the packet has one
// already, also the Fallback because its time had passed; with ErrInvalidVerdict,
// and may then be called again; and with ErrClosed when the queue was closed, which
// dropped the packet, or after File left it undecided. That the kernel refuses a verdict later on is counted in Stats.
func (h *Held) Resolve(v Verdict) error {
	if err := v.check(); err != nil {
		return h.queue.opError("resolve", err)
	}
	if h.queue.life.IsClosed() {
		h.queue.held.abandon(h)
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
	h.decide(v, edits)
	h.queue.out.Kick()
	return nil
}

// claim reports whether the caller is the one who decides.
func (h *Held) claim() bool { return h.state.CompareAndSwap(heldWaits, heldDecided) }

// abandoned reports whether the queue was closed before the packet had its verdict.
func (h *Held) abandoned() bool { return h.state.Load() == heldAbandoned }

// decide gives the verdict to the sender, with edits, nil for none. Only then is the packet
// no longer held: no VERDICT_BATCH may come before.
func (h *Held) decide(v Verdict, edits *nfqmsg.Edits) {
	t := sender.Now()
	h.queue.out.Add(sender.Verdict{
		Decision: nfqmsg.Decision{ID: h.packet.id, Word: uint32(v), Edits: edits},
		Called:   t, Returned: t, SendNext: true, Counted: true,
	})
	h.queue.held.remove(h, h.queue.out.Counters.Kind(uint32(v)))
}

// heldSet holds the packets that wait to be resolved.
type heldSet struct {
	queue *Queue
	live  atomic.Int64

	mu        sync.Mutex
	all       Held // head of a ring
	deadlines heldHeap
	timer     *time.Timer
	empty     chan struct{} // closed when nothing is held any more, nil if nobody waits
}

func (s *heldSet) init(q *Queue) {
	s.queue = q
	s.all.prev, s.all.next = &s.all, &s.all
	s.timer = time.AfterFunc(time.Hour, s.overdue)
	s.timer.Stop()
}

func (s *heldSet) add(h *Held) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live.Add(1)
	h.prev, h.next = s.all.prev, &s.all
	h.prev.next, h.next.prev = h, h
	if h.deadline != 0 {
		s.pushLocked(h)
	}
}

// setDeadline changes when a packet gets the Fallback, if it is still held.
func (s *heldSet) setDeadline(h *Held, deadline time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h.next == nil { // removed
		return
	}
	if h.index >= 0 {
		heap.Remove(&s.deadlines, h.index)
	}
	h.deadline = deadline
	s.pushLocked(h)
}

func (s *heldSet) pushLocked(h *Held) {
	heap.Push(&s.deadlines, h)
	if h.index == 0 {
		s.timer.Reset(h.deadline - sender.Now())
	}
}

// remove removes a packet and counts it, unless counter is nil. Counting under the lock makes
// Stats see each packet exactly once.
func (s *heldSet) remove(h *Held, counter *atomic.Uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if counter != nil {
		counter.Add(1)
	}
	h.prev.next, h.next.prev = h.next, h.prev
	h.prev, h.next = nil, nil
	if h.index >= 0 {
		heap.Remove(&s.deadlines, h.index)
	}
	if s.live.Add(-1) == 0 && s.empty != nil {
		close(s.empty)
		s.empty = nil
	}
}

// overdue gives the Fallback to packets whose time has passed.
func (s *heldSet) overdue() {
	s.decideAll(&s.queue.stats.fallbackExpired, func() *Held {
		if len(s.deadlines) == 0 {
			return nil
		}
		h := s.deadlines[0]
		if wait := h.deadline - sender.Now(); wait > 0 {
			s.timer.Reset(wait)
			return nil
		}
		heap.Remove(&s.deadlines, 0)
		return h
	})
}

// expire gives the Fallback to everything that is held.
func (s *heldSet) expire() {
	left := s.list()
	s.decideAll(&s.queue.stats.fallbackShutdown, func() (h *Held) {
		if len(left) > 0 {
			h, left = left[0], left[1:]
		}
		return h
	})
}

// list returns all that are held.
func (s *heldSet) list() (all []*Held) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for h := s.all.next; h != &s.all; h = h.next {
		all = append(all, h)
	}
	return all
}

// decideAll gives the Fallback to what next returns until that is nil. next is called with the
// lock held.
func (s *heldSet) decideAll(counter *atomic.Uint64, next func() *Held) {
	for {
		s.mu.Lock()
		h := next()
		s.mu.Unlock()
		if h == nil {
			break
		}
		if h.claim() {
			counter.Add(1)
			h.decide(s.queue.cfg.Fallback, nil) // without edits: another goroutine may be editing it
		}
	}
	s.queue.out.Kick()
}

// wait waits until nothing is held or ctx ends.
func (s *heldSet) wait(ctx context.Context) {
	s.mu.Lock()
	if s.live.Load() == 0 {
		s.mu.Unlock()
		return
	}
	if s.empty == nil {
		s.empty = make(chan struct{})
	}
	empty := s.empty
	s.mu.Unlock()
	select {
	case <-empty:
	case <-ctx.Done():
	case <-s.queue.life.Done():
	}
}

// close abandons all packets; the kernel has dropped them.
func (s *heldSet) close() {
	s.timer.Stop()
	for _, h := range s.list() {
		s.abandon(h)
	}
}

// abandon takes back the right to decide a packet of a closed queue.
func (s *heldSet) abandon(h *Held) {
	if h.state.CompareAndSwap(heldWaits, heldAbandoned) {
		s.remove(h, &s.queue.stats.abandoned)
	}
}

// heldHeap orders held packets by their deadline.
type heldHeap []*Held

func (h heldHeap) Len() int           { return len(h) }
func (h heldHeap) Less(i, j int) bool { return h[i].deadline < h[j].deadline }
func (h heldHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push is heap.Interface's.
func (h *heldHeap) Push(x any) {
	e := x.(*Held)
	e.index = len(*h)
	*h = append(*h, e)
}

// Pop is heap.Interface's.
func (h *heldHeap) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	e.index = -1
	return e
}
