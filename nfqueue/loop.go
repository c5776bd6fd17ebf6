// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"context"
	"errors"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/bridge"
)

// Loop calls the callback for each packet, one after the other and on the goroutine of
// its caller, until StopLoop is called, and then returns nil. The queue stays open:
// packets wait in it, and Loop may be called again. An error wraps nfqueue.ErrClosed if
// the queue was destroyed meanwhile, and nfqueue.ErrServing if a Loop is running already.
//
// When the callback panics its packet is dropped, and Loop panics with an
// *nfqueue.PanicError, which holds the value and the stack.
//
// Use nfqueue.Queue.Serve instead, which ends with a context and decides what waits.
func (q *Queue) Loop() error {
	q.mu.Lock()
	queue := q.queue
	if queue == nil || q.cb == nil {
		q.mu.Unlock()
		return ErrNotInitialized
	}
	if q.stop == nil {
		q.running, q.stop = context.WithCancel(context.Background())
	}
	ctx := q.running
	q.mu.Unlock()

	err := bridge.ServeFor(ctx, queue, nfqueue.HandlerFunc(q.handle))
	var p *nfqueue.PanicError
	if errors.As(err, &p) {
		panic(p)
	}
	return runtimeError(err)
}

// StopLoop makes a running Loop return when its callback has. It has no effect on a Loop
// that has not begun. It may be called from the callback. The context of
// nfqueue.Queue.Serve takes its place.
func (q *Queue) StopLoop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.stop != nil {
		q.stop()
		q.running, q.stop = nil, nil
	}
}

// handle calls the callback. The packet is held, so that its verdict can leave at any
// time.
func (q *Queue) handle(packet *nfqueue.Packet) nfqueue.Verdict {
	q.mu.Lock()
	cb := q.cb
	q.mu.Unlock()
	p := newPayload(packet)
	cb(p)
	p.watch()
	return nfqueue.Deferred
}
