// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/bits"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chifflier/nfqueue-go/internal/ippkt"
	"github.com/chifflier/nfqueue-go/internal/nfqmsg"
	"github.com/chifflier/nfqueue-go/internal/sender"
	"github.com/chifflier/nfqueue-go/internal/transport"
)

// ServeFlows is Serve on n goroutines, for handlers that do more work than one processor can.
// Each goroutine, numbered from 0, has its own handler, which newHandler makes before the first
// packet. A handler needs no locks for what only it uses.
//
// All packets of a flow, in both directions, come to the same handler in the order of their
// ids, and their verdicts are sent in that order. The flow of an ICMP error is that of the
// packet that it quotes. The flow of a fragment is its two addresses. All packets without an IP
// header, and with CopyMeta all packets, come to one handler.
//
// A handler that is slow or blocks delays only the packets that were dispatched to it, until
// these fill the room that all goroutines share, which is min(n*Config.Batch, 512) packets. Then
// the other handlers wait too. Config.WorkerBacklog bounds the part of one goroutine. ServeFlows
// sends no batch messages, because these would decide packets that another handler has.
//
// ServeFlows ends as Serve does. When a handler panics, or ends its goroutine, its packet gets
// the Fallback, the other handlers finish what was dispatched to them, and ServeFlows returns an
// error that wraps a *PanicError. A later Serve or ServeFlows goes on with the packets left.
func (q *Queue) ServeFlows(ctx context.Context, n int, newHandler func(worker int) Handler) error {
	if n < 1 {
		return q.opError("serve", fmt.Errorf("%d goroutines; want at least 1", n))
	}
	handlers := make([]Handler, n)
	for i := range handlers {
		handlers[i] = newHandler(i)
	}
	return q.serveHandlers(ctx, handlers)
}

// serveHandlers serves with a goroutine for each handler.
func (q *Queue) serveHandlers(ctx context.Context, handlers []Handler) error {
	if slices.Contains(handlers, nil) {
		return q.opError("serve", errors.New("the Handler is nil; give one that decides packets"))
	}
	if len(handlers) == 1 {
		return q.serve(ctx, q.inline(handlers[0]), endQueue)
	}
	return q.serve(ctx, func() dispatcher { return newFlows(q, handlers) }, endQueue)
}

// parcel is a packet on its way from the reader to a worker, and the slot of memory that
// holds it.
type parcel struct {
	packet Packet
	slot   []byte
	number uint64 // counts up in the order in which they were received
}

// maxSpare bounds the room between the goroutines, which is as many slots.
const maxSpare = 512

// flows dispatches packets to workers, each flow to one of them. A packet stays in the slot
// that it was received into; the slab gets a free slot in its place.
type flows struct {
	q       *Queue
	workers []*flowWorker
	own     []*parcel // those of the slots that the slab began with
	at      []*parcel // that of each slot of the slab, nil if a worker has it
	count   uint64    // packets dispatched to workers
	excess  bool      // some got the Fallback since the last flush
	rest    dispatcher

	running sync.WaitGroup // workers

	mu    sync.Mutex
	freed sync.Cond // free, or err, has changed
	free  []*parcel // the last one is used first: it is in the processor's cache
	err   error     // why the first worker gave up
}

// newFlows starts a worker for each handler. The caller is the reader.
func newFlows(q *Queue, handlers []Handler) *flows {
	f := &flows{q: q, rest: newInline(q, noHandler{q})}
	f.freed.L = &f.mu
	slab := q.rx.slab
	for i := range slab.Slots() {
		f.own = append(f.own, &parcel{slot: slab.Slot(i)})
	}
	f.at = slices.Clone(f.own)
	spare := min(len(handlers)*slab.Slots(), maxSpare)
	memory := transport.NewSlab(spare, len(slab.Slot(0)))
	for i := range spare {
		f.free = append(f.free, &parcel{slot: memory.Slot(i)})
	}
	q.rx.spread = true
	for _, h := range handlers {
		w := newFlowWorker(f, h)
		f.workers = append(f.workers, w)
		f.running.Go(w.run)
	}
	return f
}

// dispatch gives all that has been received to the workers, and waits until there are slots
// to receive into.
func (f *flows) dispatch() error {
	if f.workers == nil {
		return f.rest.dispatch()
	}
	r := &f.q.rx
	t := sender.Now()
	for len(r.stash) > 0 {
		p := f.awaitFree()
		if p == nil {
			return f.wait()
		}
		copy(p.slot, r.stash[0].data)
		if !r.dispatchStashed(&p.packet, p.slot, t) || !f.assign(p, t) {
			f.release(p)
		}
		f.dispatchShares()
	}
	for r.cur < r.n {
		i := r.cur
		r.cur++ // first, so that a reply whose OnRefused panics is not delivered again
		p := f.at[i]
		if r.dispatch(&p.packet, p.slot, *r.slab.Datagram(i), t) && f.assign(p, t) {
			f.at[i] = nil
		}
	}
	f.dispatchShares()
	if f.excess {
		f.excess = false
		_ = f.q.out.Flush()
	}
	if !f.refill() {
		return f.wait()
	}
	return nil
}

// refill gives the slab free slots for those that workers have. It reports false when a worker
// gave up.
func (f *flows) refill() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.q.rx.n {
		if f.at[i] != nil {
			continue
		}
		for len(f.free) == 0 && f.err == nil {
			f.freed.Wait()
		}
		if f.err != nil {
			return false
		}
		f.at[i] = f.popFreeLocked()
		f.q.rx.slab.SetSlot(i, f.at[i].slot)
	}
	return f.err == nil
}

// assign chooses the worker for p, which gets it with dispatchShares. It reports false if too
// many packets wait for that worker: then p has got the Fallback, at time t.
func (f *flows) assign(p *parcel, t time.Duration) bool {
	var i uint64
	if p.packet.isIP() {
		i, _ = bits.Mul64(ippkt.HashOf(p.packet.payload), uint64(len(f.workers)))
	}
	w := f.workers[i]
	if max := f.q.cfg.WorkerBacklog; max > 0 && w.assigned-w.decided.Load() >= uint64(max) {
		f.excess = true
		f.q.fallback(p.packet.id, &f.q.stats.fallbackBacklog, sender.Verdict{Called: t, Returned: t})
		return false
	}
	w.assigned++
	p.number = f.count
	f.count++
	w.share = append(w.share, p)
	return true
}

func (f *flows) dispatchShares() {
	f.q.rx.countBytes()
	for _, w := range f.workers {
		w.dispatchShare()
	}
}

// awaitFree returns a free slot, nil when a worker gave up.
func (f *flows) awaitFree() *parcel {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.free) == 0 && f.err == nil {
		f.freed.Wait()
	}
	if f.err != nil {
		return nil
	}
	return f.popFreeLocked()
}

func (f *flows) popFreeLocked() *parcel {
	last := len(f.free) - 1
	p := f.free[last]
	f.free = f.free[:last]
	return p
}

// release frees slots of which the sender needs nothing any more.
func (f *flows) release(done ...*parcel) {
	for _, p := range done {
		p.packet.dropPayload() // may be larger than the slot
	}
	f.mu.Lock()
	f.free = append(f.free, done...)
	f.mu.Unlock()
	f.freed.Signal()
}

// fail keeps the error of a worker that gives up, and wakes the reader.
func (f *flows) fail(err error) {
	f.mu.Lock()
	if f.err == nil {
		f.err = err
	}
	f.mu.Unlock()
	f.freed.Signal()
	f.q.wake()
}

// drain is a no-op for workers; leftovers are handled by f.rest.
func (f *flows) drain() { f.rest.drain() }

// wait ends the workers once they have decided everything, and puts the slots of the slab back.
// Packets that a failed worker has left are stashed.
func (f *flows) wait() error {
	if f.workers == nil {
		return nil
	}
	f.dispatchShares() // a panic in the reader may have come before
	for _, w := range f.workers {
		w.end()
	}
	f.running.Wait()

	var left []*parcel
	for _, w := range f.workers {
		left = append(append(left, w.begun...), w.inbox...)
	}
	slices.SortFunc(left, func(a, b *parcel) int { return cmp.Compare(a.number, b.number) })
	r := &f.q.rx
	var stash []stashed
	for _, p := range left {
		stash = append(stash, stashed{bytes.Clone(p.packet.msg), false, p.packet.received})
	}
	r.stash, r.counted = append(stash, r.stash...), r.counted+len(stash)
	r.stashRest()
	for i, p := range f.own {
		r.slab.SetSlot(i, p.slot)
	}
	r.spread = false
	f.workers = nil
	return f.err
}

// flowWorker is a goroutine that decides the packets of some flows.
type flowWorker struct {
	worker
	f     *flows
	h     Handler
	share []*parcel // of the packets being dispatched; owned by the reader
	begun []*parcel // what is left of them; owned by the goroutine, and by the reader after it

	assigned uint64        // packets, ever; owned by the reader
	decided  atomic.Uint64 // of those

	mu    sync.Mutex
	ready sync.Cond // inbox, or ended, has changed
	inbox []*parcel
	ended bool // no more will come
}

// chunk is how many packets a worker begins with at a time. Their slots are free when all of
// them are decided.
const chunk = 16

func newFlowWorker(f *flows, h Handler) *flowWorker {
	w := &flowWorker{worker: worker{q: f.q}, f: f, h: h}
	w.ready.L = &w.mu
	return w
}

// dispatchShare puts the packets chosen for the worker into its inbox.
func (w *flowWorker) dispatchShare() {
	if len(w.share) == 0 {
		return
	}
	w.mu.Lock()
	w.inbox = append(w.inbox, w.share...)
	w.mu.Unlock()
	w.share = w.share[:0]
	w.ready.Signal()
}

func (w *flowWorker) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	w.ready.Signal()
}

// run handles packets until no more will come, or the handler panics.
func (w *flowWorker) run() {
	defer w.q.life.AddWorker()()
	w.startCalls()
	defer w.endCalls()
	returned := false
	defer func() {
		if !returned { // the Logger has panicked, or ended the goroutine
			defer w.f.fail(&PanicError{Value: recover(), Stack: debug.Stack()})
			_ = w.q.out.Flush()
		}
	}()
	var room [chunk]*parcel
	for {
		w.mu.Lock()
		for len(w.inbox) == 0 && !w.ended {
			w.ready.Wait()
		}
		n := copy(room[:], w.inbox)
		w.begun = room[:n]
		w.inbox = w.inbox[:copy(w.inbox, w.inbox[n:])]
		more := len(w.inbox) > 0
		w.mu.Unlock()
		if n == 0 {
			returned = true
			return
		}
		for len(w.begun) > 0 {
			if !w.serveBegun(more) {
				returned = true
				return
			}
		}
	}
}

// serveBegun calls the handler for the packets that the goroutine has begun with. more says
// that others are waiting. It reports false when the handler panicked and the worker is to
// give up.
func (w *flowWorker) serveBegun(more bool) (ok bool) {
	var p *parcel
	done, altered := w.begun[:0], false
	var panicked error
	defer func() {
		if p != nil && p.packet.deciding { // ServePacket did not return
			panicked, more = w.panicked(&p.packet, recover()), false
		}
		w.calls.Idle()
		if altered || !more {
			_ = w.q.out.Flush() // receive reports a closed socket
		}
		w.decided.Add(uint64(len(done)))
		w.f.release(done...)
		if panicked == nil {
			return
		}
		defer func() {
			if v := recover(); v != nil {
				panicked = errors.Join(panicked, &PanicError{Value: v, Stack: debug.Stack()})
			}
			if !ok {
				w.f.fail(panicked)
			}
		}()
		ok = w.q.goesOnAfter(panicked)
	}()
	t := sender.Now()
	for len(w.begun) > 0 {
		p, w.begun = w.begun[0], w.begun[1:]
		done = append(done, p) // over what has left begun
		if w.q.life.IsClosed() {
			w.q.stats.abandoned.Add(1)
			continue
		}
		t = w.serve(w.h, &p.packet, !more && len(w.begun) == 0, t)
		altered = altered || p.packet.edits.Has(nfqmsg.EditPayload)
	}
	return true
}
