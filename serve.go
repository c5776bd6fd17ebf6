// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"context"
	"errors"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// Serve calls h for each packet, in the order of their ids, and sends the verdicts.
// It runs on the goroutine of its caller, and h is never called concurrently with
// itself.
//
// When ctx ends, or Shutdown is called, Serve goes on with the packets that are
// queued already, for at most Config.DrainTimeout or the context of Shutdown, gives
// those left the Fallback, closes the queue and returns nil. After Close it
// returns ErrClosed. When h panics its packet gets the Fallback and Serve returns a
// *PanicError; the queue stays open, and Serve may be called again.
func (q *Queue) Serve(ctx context.Context, h Handler) error {
	if q.serving.Swap(true) {
		return q.opError("serve", ErrServing)
	}
	defer q.serving.Store(false)
	select {
	case q.reader <- struct{}{}:
	case <-q.done:
		return q.opError("serve", ErrClosed)
	}
	defer func() { <-q.reader }()
	defer context.AfterFunc(ctx, q.wake)()

	err := q.serve(ctx, h)
	if err == nil {
		s := q.stopping.Load()
		if s == nil {
			drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), q.cfg.DrainTimeout)
			defer cancel()
			s = &stop{ctx: drain}
		}
		err = q.finish(s, h)
	}
	if err != nil {
		return q.opError("serve", err)
	}
	return nil
}

// serve handles packets until ctx ends or a stop is asked for, and returns nil then.
func (q *Queue) serve(ctx context.Context, h Handler) error {
	for {
		if err := q.handle(h); err != nil {
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

// handle handles all that has been received, and sends the verdicts. The error is a
// handler's panic.
func (q *Queue) handle(h Handler) (err error) {
	defer func() {
		if q.undecided { // ServePacket did not return
			q.undecided = false
			v := recover()
			err = &PanicError{Value: v, Stack: debug.Stack()}
			q.fallback(&q.packet, &q.stats.fallbackPanic)
		}
		q.count.publish(&q.stats)
		_ = q.out.flush() // a closed socket is Recv's to report
	}()
	t := now()
	for len(q.stash) > 0 {
		s := q.stash[0]
		q.stash = q.stash[1:]
		t = q.dispatch(h, s.data, len(s.data), s.truncated, len(q.stash) == 0, t)
	}
	q.stash = nil
	for q.cur < q.n {
		i := q.cur
		q.cur++
		d := q.slab.Datagram(i)
		t = q.dispatch(h, q.slab.Slot(i), d.Len, d.Truncated, q.cur == q.n, t)
	}
	return nil
}

// dispatchPacket calls the handler for the packet in msg, which lies at the start
// of slot, and returns the time it ended. t is the time that was read last.
func (q *Queue) dispatchPacket(h Handler, slot, msg []byte, truncated, last bool, t time.Duration) time.Duration {
	p := &q.packet
	if err := p.reset(q, slot, msg); err != nil || truncated {
		q.undecodable(msg, truncated, t)
		return t
	}
	q.sawID(p.id)
	q.count.bytes += uint64(len(p.payload))

	q.undecided = true
	v := h.ServePacket(p)
	q.undecided = false

	end := t
	if q.pace.due() {
		end = now()
		q.pace.took(end-t, q.cfg.FlushAfter)
	}
	if q.decide(p, v, last, t, end) {
		_ = q.out.flush()
		end = now()
	}
	return end
}

// decide sends the verdict of a handler. It reports whether to flush now.
func (q *Queue) decide(p *Packet, v Verdict, last bool, since, t time.Duration) (due bool) {
	if p.held != nil {
		if v == Deferred {
			return false
		}
		if !p.held.claim() { // decided elsewhere meanwhile
			q.stats.doubled.Add(1)
			q.log.warn(logInvalid, "nfqueue: a handler returned a verdict for a packet that it deferred and that was resolved", "id", p.id, "verdict", v)
			return false
		}
		q.held.remove(p.held)
	}
	if v > Stop || 1<<v&(1<<Drop|1<<Accept|1<<Repeat|1<<Stop) == 0 {
		if err := v.check(); err != nil {
			q.log.error(logInvalid, "nfqueue: a handler returned an invalid verdict", "id", p.id, "error", err)
			q.fallback(p, &q.stats.fallbackInvalid)
			return false
		}
	}
	q.count.verdict(v)
	edited := p
	if v == Drop {
		edited = nil
	}
	return q.out.add(p.id, v, edited, q.mayBatch(), last, since, t)
}

// fallback gives the Fallback to a packet that its handler failed to decide.
func (q *Queue) fallback(p *Packet, counter *atomic.Uint64) {
	if p.held != nil {
		if !p.held.claim() {
			return
		}
		q.held.remove(p.held)
	}
	counter.Add(1)
	q.count.verdict(q.cfg.Fallback)
	q.out.add(p.id, q.cfg.Fallback, nil, q.mayBatch(), true, 0, 0)
}
