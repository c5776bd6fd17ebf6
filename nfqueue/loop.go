// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"context"
	"errors"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/bridge"
)

// linger is how long Loop goes on waiting after its queue was destroyed, as long as the select(2)
// of the cgo package. Programs rely on it that close the queue, remove their rules and exit on one
// goroutine, and call log.Fatal(q.Loop()) on another.
const linger = 500 * time.Millisecond

// Loop calls the callback for each packet, one after the other and on the goroutine of its caller,
// until StopLoop is called, and then returns nil. The queue stays open: packets wait in it, and
// Loop may be called again. A Queue has one Loop at a time; a second one fails with
// nfqueue.ErrServing.
//
// If another call of the program destroys the queue, Loop returns an error that wraps
// nfqueue.ErrClosed, half a second later. The program can meanwhile remove its rules.
//
// If the callback panics its packet is dropped, and Loop panics with an *nfqueue.PanicError, which
// holds the value and the stack.
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
	if errors.Is(err, nfqueue.ErrClosed) {
		time.Sleep(linger)
	}
	return runtimeError(err)
}

// TryRun is Loop. The cgo package had it under this name until February 2017.
func (q *Queue) TryRun() error { return q.Loop() }

// StopLoop makes a running Loop return as soon as its callback has returned. If no Loop runs it has
// no effect. It may be called from the callback. The context of nfqueue.Queue.Serve takes its
// place.
func (q *Queue) StopLoop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.stop != nil {
		q.stop()
		q.running, q.stop = nil, nil
	}
}

// handle calls the callback. It holds the packet, so that the callback's verdict can leave at any
// time.
func (q *Queue) handle(packet *nfqueue.Packet) nfqueue.Verdict {
	q.mu.Lock()
	cb := q.cb
	q.mu.Unlock()
	p := newPayload(packet)
	shared := p.packet
	cb(p)
	shared.watch()
	return nfqueue.Deferred
}
