// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/chifflier/nfqueue-go/internal/affinity"
	"github.com/chifflier/nfqueue-go/internal/sender"
)

// Serve calls h for each packet, in the order of their ids, and sends the verdicts.
// It runs on the goroutine of its caller, and h is never called concurrently with
// itself.
//
// When ctx ends, or Shutdown is called, Serve goes on with the packets that are
// queued already, for at most Config.DrainTimeout or the context of Shutdown, gives
// those left the Fallback, closes the queue and returns nil. A call of h that has begun
// is waited for. After Close it returns ErrClosed. When h panics its packet gets the
// Fallback and Serve returns a *PanicError; the queue stays open, and Serve may be called
// again. With Config.OnPanic it goes on.
func (q *Queue) Serve(ctx context.Context, h Handler) error {
	return q.serve(ctx, func() dispatcher { return &inline{q: q, h: h} }, endQueue)
}

// ServeOn is Serve on an operating system thread that runs on the given processor only
// until ServeOn returns. Which processor the packets of a queue come from is up to the
// rule and to the interrupts of the network card.
//
// The error is that of sched_setaffinity(2) if the process may not use the processor,
// and errors.ErrUnsupported on other systems than Linux; packets then wait as before.
func (q *Queue) ServeOn(ctx context.Context, cpu int, h Handler) error {
	unpin, err := affinity.Pin([]int{cpu})
	if err != nil {
		return q.opError("serve", err)
	}
	defer unpin()
	return q.Serve(ctx, h)
}

// dispatcher has received packets decided.
type dispatcher interface {
	// handle takes charge of all that has been received. The error is the panic of a
	// handler. handle may then be called again for what is left.
	handle() error
	// drain says that the queue is about to end: packets left by a panic get the
	// Fallback.
	drain()
	// settle waits until everything that handle took charge of is decided, or left to
	// the next dispatcher because of the panic that it returns.
	settle() error
}

// inline calls a handler on the goroutine that receives.
type inline struct {
	q        *Queue
	h        Handler
	draining bool
}

func (d *inline) handle() error {
	err := d.q.handle(d.h)
	for err != nil && d.q.survive(err) {
		err = d.q.handle(d.h)
	}
	if err != nil && d.draining {
		d.h = noHandler{d.q}
	}
	return err
}

func (d *inline) drain() { d.draining = true }

func (d *inline) settle() error { return nil }

// atEnd is what serve does with the queue when its context ends.
type atEnd bool

const (
	endQueue  atEnd = false // drain and close it
	keepQueue atEnd = true  // leave it open; packets wait in it for the next serve
)

// serve serves the queue through the dispatcher that start makes, as Serve says.
func (q *Queue) serve(ctx context.Context, start func() dispatcher, then atEnd) error {
	if q.serving.Swap(true) {
		return q.opError("serve", ErrServing)
	}
	defer q.serving.Store(false)
	select {
	case q.reader <- struct{}{}:
	case <-q.done:
		return q.opError("serve", ErrClosed)
	}
	defer q.releaseReader()
	l := newLimit()
	defer l.end()
	q.limit.Store(l)
	if s := q.stopping.Load(); s != nil {
		defer l.by(s.ctx)()
	}
	defer context.AfterFunc(ctx, func() {
		// From now on: the batch that is being handled counts too.
		if then == endQueue && q.stopping.Load() == nil {
			time.AfterFunc(q.cfg.DrainTimeout, l.end)
		}
		q.wake()
	})()

	d, ended := start(), false
	defer func() {
		if !ended { // OnPanic or OnRefused has panicked: goroutines that decide must not go on
			_ = d.settle()
		}
	}()
	err := q.serveUntil(ctx, d)
	s := q.stopping.Load()
	if err == nil && (s != nil || then == endQueue) {
		if s == nil {
			s = &stop{ctx: l.ctx}
		}
		err = q.finish(s, d)
	} else if e := d.settle(); e != nil {
		err = errors.Join(err, e)
	}
	ended = true
	if err != nil {
		return q.opError("serve", err)
	}
	return nil
}

// serveUntil handles packets until ctx ends or a stop is asked for, and returns nil
// then.
func (q *Queue) serveUntil(ctx context.Context, d dispatcher) error {
	for {
		if err := d.handle(); err != nil {
			return err
		}
		if ctx.Err() != nil || q.stopping.Load() != nil {
			return nil
		}
		err := q.receive()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			// Clear first, look afterwards: whoever wakes us sets his reason first.
			err = q.conn.SetReadDeadline(time.Time{})
		}
		if err != nil {
			return err
		}
	}
}

// handle calls h for all packets that have been received, and sends the verdicts. The
// error is a panic of h.
func (q *Queue) handle(h Handler) (err error) {
	w := &q.worker
	defer func() {
		if q.packet.deciding { // ServePacket did not return
			err = w.panicked(&q.packet, recover())
		}
		q.countBytes()
		_ = q.out.Flush() // a closed socket is Recv's to report
	}()
	t := sender.Now()
	for len(q.stash) > 0 && !q.closed.Load() {
		if q.takeStashed(&q.packet, q.stash[0].data, t) {
			t = w.serve(h, &q.packet, len(q.stash) == 0 && q.cur == q.n, t)
		}
	}
	for q.cur < q.n && !q.closed.Load() {
		i := q.cur
		q.cur++
		d := q.slab.Datagram(i)
		if q.take(&q.packet, q.slab.Slot(i), d.Len, d.Truncated, t) {
			t = w.serve(h, &q.packet, q.cur == q.n, t)
		}
	}
	return nil
}
