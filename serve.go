// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/chifflier/nfqueue-go/internal/lifecycle"
	"github.com/chifflier/nfqueue-go/internal/sender"
)

// Serve calls h for each packet, in the order of their ids, and sends the verdicts.
// It runs on the goroutine of its caller, and h is never called concurrently with
// itself.
//
// When ctx ends, or Shutdown is called, Serve drains the queue: it calls h for the packets
// that are already queued, until Config.DrainTimeout or the context of Shutdown ends. Packets
// left then get the Fallback. Serve waits for a call of h that has begun, closes the queue and
// returns nil. It also returns nil when Shutdown or Release was called before. After Close it
// returns ErrClosed.
//
// When h panics, its packet gets the Fallback and Serve returns an error that wraps a
// *PanicError. The queue stays open, and Serve may be called again. With Config.OnPanic Serve
// goes on instead.
func (q *Queue) Serve(ctx context.Context, h Handler) error {
	return q.serveHandlers(ctx, []Handler{h})
}

// inline starts to serve with h on the goroutine that calls it.
func (q *Queue) inline(h Handler) func() dispatcher {
	return func() dispatcher {
		d := newInline(q, h)
		d.startCalls()
		return d
	}
}

// dispatcher passes received packets to handlers, on one goroutine or on several.
type dispatcher interface {
	// dispatch gives everything that has been received to handlers. The error is the panic
	// of one. dispatch may then be called again for the packets left.
	dispatch() error
	// drain says that the queue is about to end: packets left by a panic get the Fallback.
	drain()
	// wait blocks until every packet is decided or, after the panic that it returns,
	// stashed.
	wait() error
}

// inline calls a handler on the goroutine that receives.
type inline struct {
	worker
	h        Handler
	packet   Packet
	draining bool
}

func newInline(q *Queue, h Handler) *inline { return &inline{worker: worker{q: q}, h: h} }

func (d *inline) dispatch() error {
	err := d.serveReceived()
	for err != nil && d.q.goesOnAfter(err) {
		err = d.serveReceived()
	}
	if err != nil && d.draining {
		d.h = noHandler{d.q}
	}
	return err
}

func (d *inline) drain() { d.draining = true }

func (d *inline) wait() error {
	d.endCalls()
	return nil
}

// serveReceived calls the handler for all packets that have been received, and sends the
// verdicts. The error is a panic of the handler.
func (d *inline) serveReceived() (err error) {
	q, r, p := d.q, &d.q.rx, &d.packet
	defer func() {
		if p.deciding { // ServePacket did not return
			err = d.panicked(p, recover())
		}
		d.calls.Idle()
		r.countBytes()
		_ = q.out.Flush() // receive reports a closed socket
	}()
	t := sender.Now()
	for len(r.stash) > 0 && !q.life.IsClosed() {
		if r.dispatchStashed(p, r.stash[0].data, t) {
			t = d.serve(d.h, p, r.empty(), t)
		}
	}
	for r.cur < r.n && !q.life.IsClosed() {
		i := r.cur
		r.cur++
		if r.dispatch(p, r.slab.Slot(i), *r.slab.Datagram(i), t) {
			t = d.serve(d.h, p, r.cur == r.n, t)
		}
	}
	return nil
}

// noHandler gives the Fallback to packets that have no handler.
type noHandler struct{ q *Queue }

func (n noHandler) ServePacket(*Packet) Verdict {
	n.q.stats.fallbackShutdown.Add(1)
	return n.q.cfg.Fallback
}

// atEnd says what serve does with the queue when its context ends.
type atEnd bool

const (
	endQueue  atEnd = false // drain and close it
	keepQueue atEnd = true  // leave it open; packets wait in it for the next serve
)

// serve dispatches packets with the dispatcher that start returns, until ctx ends, and then does
// what then says.
func (q *Queue) serve(ctx context.Context, start func() dispatcher, then atEnd) error {
	limit, done, err := q.life.StartServe()
	if err != nil {
		return q.opError("serve", err)
	}
	if done {
		return nil
	}
	defer q.life.StopServe()
	defer q.stopReading()
	defer limit.End()
	defer context.AfterFunc(ctx, func() {
		// From now on: the batch that is being dispatched counts too.
		if then == endQueue && q.life.Stop() == nil {
			time.AfterFunc(q.cfg.DrainTimeout, limit.End)
		}
		q.wake()
	})()

	d, returned := start(), false
	defer func() {
		if !returned { // OnPanic or OnRefused has panicked: goroutines that decide must not go on
			_ = d.wait()
		}
	}()
	err = q.serveUntil(ctx, d)
	s := q.life.Stop()
	if err == nil && (s != nil || then == endQueue) {
		if s == nil {
			s = &lifecycle.Stop{Ctx: limit.Ctx}
		}
		err = q.finish(s, d)
	} else if e := d.wait(); e != nil {
		err = errors.Join(err, e)
	}
	returned = true
	if err != nil {
		return q.opError("serve", err)
	}
	return nil
}

// serveUntil dispatches packets until ctx ends, or Shutdown or Release is called. Then it returns
// nil.
func (q *Queue) serveUntil(ctx context.Context, d dispatcher) error {
	for {
		if err := d.dispatch(); err != nil {
			return err
		}
		if ctx.Err() != nil || q.life.Stop() != nil {
			return nil
		}
		err := q.rx.receive()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			// Clear the deadline before looking again: wakers set their reason before
			// waking us.
			err = q.conn.SetReadDeadline(time.Time{})
		}
		if err != nil {
			return err
		}
	}
}
