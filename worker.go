// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"errors"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/chifflier/nfqueue-go/internal/nfqmsg"
	"github.com/chifflier/nfqueue-go/internal/sender"
)

// worker calls a handler for one packet after another and hands the verdicts to the
// sender. Serve is one, ServeFlows has several.
type worker struct {
	q    *Queue
	pace pace
}

// serve calls h for p and returns the time when that was done. t is the time that was
// read last. last says that the caller flushes next. Once the time for handlers has passed
// p gets the Fallback instead, so that what was received with it does not take longer than
// the handler that is running.
func (w *worker) serve(h Handler, p *Packet, last bool, t time.Duration) time.Duration {
	v := w.q.cfg.Fallback
	if w.q.limit.Load().passed.Load() {
		w.q.stats.fallbackShutdown.Add(1)
	} else {
		p.deciding = true
		v = h.ServePacket(p)
		p.deciding = false
	}

	end := t
	if w.pace.due() {
		end = sender.Now()
		w.pace.took(end-t, w.q.cfg.FlushAfter)
	}
	if w.decide(p, v, last, t, end) {
		_ = w.q.out.Flush()
		end = sender.Now()
	}
	return end
}

// decide hands in the verdict of a handler. It reports whether to flush now.
func (w *worker) decide(p *Packet, v Verdict, last bool, since, t time.Duration) (due bool) {
	q := w.q
	if p.held != nil {
		if v == Deferred {
			return false
		}
		if !p.held.claim() { // decided elsewhere meanwhile
			if p.held.abandoned() {
				return false
			}
			q.stats.doubled.Add(1)
			q.log.Warn(sender.KindInvalid, "nfqueue: a handler returned a verdict for a packet that it deferred and that was resolved", "id", p.id, "verdict", v)
			return false
		}
		q.held.remove(p.held, nil)
	}
	if v > Stop || 1<<v&(1<<Drop|1<<Accept|1<<Repeat|1<<Stop) == 0 {
		if err := v.check(); err != nil {
			q.log.Error(sender.KindInvalid, "nfqueue: a handler returned an invalid verdict", "id", p.id, "error", err)
			return w.fallback(p, &q.stats.fallbackInvalid, last, since, t)
		}
	}
	d := nfqmsg.Decision{ID: p.id, Word: uint32(v), Batch: q.mayBatch()}
	if v != Drop {
		d.Edits = &p.edits
	}
	return q.out.Add(sender.Verdict{Decision: d, Called: since, Returned: t, SendNext: last})
}

// fallback gives the Fallback to a packet that its handler failed to decide.
func (w *worker) fallback(p *Packet, counter *atomic.Uint64, last bool, since, t time.Duration) (due bool) {
	q := w.q
	counter.Add(1)
	d := nfqmsg.Decision{ID: p.id, Word: uint32(q.cfg.Fallback), Batch: q.mayBatch()}
	return q.out.Add(sender.Verdict{Decision: d, Called: since, Returned: t, SendNext: last})
}

// panicked gives the Fallback to p, whose handler panicked with value v or ended its
// goroutine. The caller flushes next.
func (w *worker) panicked(p *Packet, v any) error {
	p.deciding = false
	err := &PanicError{Value: v, Stack: debug.Stack()}
	if p.held != nil {
		if !p.held.claim() {
			return err
		}
		w.q.held.remove(p.held, nil)
	}
	t := sender.Now()
	w.fallback(p, &w.q.stats.fallbackPanic, true, t, t)
	return err
}

// survive reports whether Config has Serve go on after a handler panicked with err.
func (q *Queue) survive(err error) bool {
	var p *PanicError
	if q.cfg.OnPanic == nil || !errors.As(err, &p) || p.Value == nil { // the goroutine is ending
		return false
	}
	q.cfg.OnPanic(p)
	return true
}
