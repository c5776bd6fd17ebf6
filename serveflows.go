// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math/bits"
	"slices"
	"sync"

	"github.com/chifflier/nfqueue-go/internal/ippkt"
	"github.com/chifflier/nfqueue-go/internal/sender"
	"github.com/chifflier/nfqueue-go/internal/transport"
)

// ServeFlows is Serve on n goroutines, for handlers that do more work than one
// processor can. Each of them, numbered from 0, has a handler of its own, which
// newHandler makes before the first packet, and which needs no locks for what it keeps
// to itself.
//
// All packets of a flow, in both directions, come to the same handler in the order of
// their ids, and their verdicts are sent in that order. The flow of an ICMP error is
// that of the packet which it quotes; fragments are told apart by their addresses
// alone. What has no IP header, and with CopyMeta everything, comes to one handler.
//
// A handler that takes its time, or blocks, delays the packets that have come to it and
// no others, until those take the room for min(n*Config.Batch, 512) packets that there
// is between the goroutines. Then the others wait too. Batch messages, which would
// decide packets that another handler has, are not used.
//
// ServeFlows ends as Serve does. When a handler panics, or ends its goroutine, its
// packet gets the Fallback, the others finish what has come to them, and ServeFlows
// returns a *PanicError; a later Serve or ServeFlows goes on with what is left.
func (q *Queue) ServeFlows(ctx context.Context, n int, newHandler func(worker int) Handler) error {
	if n < 1 {
		return q.opError("serve", fmt.Errorf("%d goroutines; want at least 1", n))
	}
	handlers := make([]Handler, n)
	for i := range handlers {
		handlers[i] = newHandler(i)
	}
	if n == 1 {
		return q.Serve(ctx, handlers[0])
	}
	return q.serve(ctx, func() dispatcher { return newFlows(q, handlers) }, endQueue)
}

// maxSpare bounds the room between the goroutines, which is as many slots.
const maxSpare = 512

// flows hands packets to workers, each flow to one of them. A packet stays in the slot
// that it was received into; the slab gets a free slot in its place.
type flows struct {
	q       *Queue
	workers []*flowWorker
	own     []*parcel // those of the slots that the slab began with
	at      []*parcel // that of each slot of the slab, nil if a worker has it
	handed  uint64    // packets handed to workers
	rest    dispatcher

	running sync.WaitGroup // workers

	mu    sync.Mutex
	freed sync.Cond // free, or err, has changed
	free  parcels
	err   error // why the first worker gave up
}

// newFlows starts a worker for each handler. The caller is the reader.
func newFlows(q *Queue, handlers []Handler) *flows {
	f := &flows{q: q, rest: &inline{q: q, h: noHandler{q}}}
	f.freed.L = &f.mu
	for i := range q.slab.Slots() {
		f.own = append(f.own, &parcel{slot: q.slab.Slot(i)})
	}
	f.at = slices.Clone(f.own)
	spare := min(len(handlers)*q.slab.Slots(), maxSpare)
	memory := transport.NewSlab(spare, len(q.slab.Slot(0)))
	for i := range spare {
		f.free.push(&parcel{slot: memory.Slot(i)})
	}
	q.spread = true
	for _, h := range handlers {
		w := newFlowWorker(f, h)
		f.workers = append(f.workers, w)
		f.running.Go(w.run)
	}
	return f
}

// handle hands all that has been received to the workers, and waits until there are
// slots to receive into.
func (f *flows) handle() error {
	if f.workers == nil {
		return f.rest.handle()
	}
	q := f.q
	t := sender.Now()
	for len(q.stash) > 0 {
		p := f.takeFree()
		if p == nil {
			return f.settle()
		}
		copy(p.slot, q.stash[0].data)
		if q.takeStashed(&p.packet, p.slot, t) {
			f.hand(p)
		} else {
			f.release(&parcels{p, p})
		}
		f.handOver()
	}
	for q.cur < q.n {
		i := q.cur
		q.cur++ // first: what OnRefused panics of is not handed in again
		p, d := f.at[i], q.slab.Datagram(i)
		if q.take(&p.packet, p.slot, d.Len, d.Truncated, t) {
			f.at[i] = nil
			f.hand(p)
		}
	}
	f.handOver()
	if !f.refill() {
		return f.settle()
	}
	return nil
}

// refill gives the slab free slots for those that were handed over. It reports false
// when a worker gave up.
func (f *flows) refill() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.q.n {
		if f.at[i] != nil {
			continue
		}
		p := f.takeLocked()
		if p == nil {
			return false
		}
		f.at[i] = p
		f.q.slab.SetSlot(i, p.slot)
	}
	return f.err == nil
}

// hand chooses the worker for p, which gets it with handOver.
func (f *flows) hand(p *parcel) {
	p.number = f.handed
	f.handed++
	var i uint64
	if p.packet.isIP() {
		i, _ = bits.Mul64(ippkt.HashOf(p.packet.payload), uint64(len(f.workers)))
	}
	f.workers[i].coming.push(p)
}

func (f *flows) handOver() {
	f.q.countBytes()
	for _, w := range f.workers {
		w.handOver()
	}
}

// takeFree waits for a free slot. It returns nil when a worker gave up.
func (f *flows) takeFree() *parcel {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.takeLocked()
}

func (f *flows) takeLocked() *parcel {
	for f.free.empty() && f.err == nil {
		f.freed.Wait()
	}
	if f.err != nil {
		return nil
	}
	return f.free.pop()
}

// release takes back slots of which the sender needs nothing any more. The last ones
// are used first: they are in the processor's cache.
func (f *flows) release(done *parcels) {
	for p := done.first; p != nil; p = p.next {
		p.packet.payload, p.packet.edits.Payload, p.packet.held = nil, nil, nil // may be larger than the slot
	}
	f.mu.Lock()
	done.append(&f.free)
	f.free = *done
	f.mu.Unlock()
	f.freed.Signal()
	*done = parcels{}
}

// fail keeps the error of a worker that gives up, and tells the reader.
func (f *flows) fail(err error) {
	f.mu.Lock()
	if f.err == nil {
		f.err = err
	}
	f.mu.Unlock()
	f.freed.Signal()
	f.q.wake()
}

// drain has nothing to tell the workers: what one of them leaves goes to rest.
func (f *flows) drain() { f.rest.drain() }

// settle ends the workers, once they have decided everything, and makes the queue what
// it was before. What a worker that gave up has left is stashed.
func (f *flows) settle() error {
	if f.workers == nil {
		return nil
	}
	f.handOver() // what a panic in the dispatcher has kept from them
	for _, w := range f.workers {
		w.end()
	}
	f.running.Wait()

	var left []*parcel
	for _, w := range f.workers {
		w.left.append(&w.inbox)
		for p := w.left.pop(); p != nil; p = w.left.pop() {
			left = append(left, p)
		}
	}
	slices.SortFunc(left, func(a, b *parcel) int { return cmp.Compare(a.number, b.number) })
	q := f.q
	var stash []stashed
	for _, p := range left {
		stash = append(stash, stashed{data: bytes.Clone(p.packet.msg)})
	}
	q.stash, q.known = append(stash, q.stash...), q.known+len(stash)
	q.stashRest()
	for i, p := range f.own {
		q.slab.SetSlot(i, p.slot)
	}
	q.spread = false
	f.workers = nil
	return f.err
}
