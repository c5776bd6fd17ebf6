// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"errors"
	"runtime/debug"
	"sync"

	"github.com/chifflier/nfqueue-go/internal/nfqmsg"
	"github.com/chifflier/nfqueue-go/internal/sender"
)

// flowWorker is a goroutine that decides the packets of some flows.
type flowWorker struct {
	worker
	f      *flows
	h      Handler
	coming parcels // chosen for the worker; owned by the reader
	left   parcels // begun with; owned by the goroutine, and by the reader after it

	mu    sync.Mutex
	ready sync.Cond // inbox, or ended, has changed
	inbox parcels
	ended bool // no more will come
}

// chunk is how many packets a worker begins with at a time. Their slots are free when
// all of them are decided.
const chunk = 16

func newFlowWorker(f *flows, h Handler) *flowWorker {
	w := &flowWorker{worker: worker{q: f.q}, f: f, h: h}
	w.ready.L = &w.mu
	return w
}

// handOver puts the packets chosen for the worker into its inbox.
func (w *flowWorker) handOver() {
	if w.coming.empty() {
		return
	}
	w.mu.Lock()
	w.inbox.append(&w.coming)
	w.mu.Unlock()
	w.ready.Signal()
}

func (w *flowWorker) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	w.ready.Signal()
}

// run handles what comes until no more will, or the handler panics.
func (w *flowWorker) run() {
	for {
		w.mu.Lock()
		for w.inbox.empty() && !w.ended {
			w.ready.Wait()
		}
		w.left = w.inbox.split(chunk)
		more := !w.inbox.empty()
		w.mu.Unlock()
		if w.left.empty() {
			return
		}
		for !w.left.empty() {
			if !w.handle(more) {
				return
			}
		}
	}
}

// handle calls the handler for the packets that the goroutine has begun with. more says that
// others are waiting. It reports false when h panicked and the worker is to give up.
func (w *flowWorker) handle(more bool) (ok bool) {
	var p *parcel
	var done parcels
	altered := false
	var panicked error
	defer func() {
		if p != nil && p.packet.deciding { // ServePacket did not return
			panicked, more = w.panicked(&p.packet, recover()), false
		}
		if altered || !more {
			_ = w.q.out.Flush() // a closed socket is Recv's to report
		}
		w.f.release(&done)
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
		ok = w.q.survive(panicked)
	}()
	t := sender.Now()
	for p = w.left.pop(); p != nil; p = w.left.pop() {
		done.push(p)
		if w.q.closed.Load() {
			w.q.stats.abandoned.Add(1)
			continue
		}
		t = w.serve(w.h, &p.packet, !more && w.left.empty(), t)
		altered = altered || p.packet.edits.Has(nfqmsg.EditPayload)
	}
	return true
}
