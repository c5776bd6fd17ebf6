// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"errors"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/chifflier/nfqueue-go/internal/latency"
	"github.com/chifflier/nfqueue-go/internal/nfqmsg"
	"github.com/chifflier/nfqueue-go/internal/roundwatch"
	"github.com/chifflier/nfqueue-go/internal/sender"
	"github.com/chifflier/nfqueue-go/internal/slowcall"
)

// worker calls a handler for one packet after another and gives the verdicts to the sender.
// Serve has one, ServeFlows several.
type worker struct {
	q     *Queue
	pace  sender.Pace
	calls *slowcall.Calls // nil if none is slow
	times *latency.Calls  // nil if nothing is measured
}

// startCalls is called before the first packet, endCalls after the last.
func (w *worker) startCalls() { w.calls, w.times = w.q.slow.Goroutine(), w.q.times.Goroutine() }

func (w *worker) endCalls() {
	w.calls.Done()
	w.times.Done()
	w.calls, w.times = nil, nil
}

// serve calls h for p and returns the time when that was done. t is the time that was read
// last. last says that the caller flushes next. Once the time for handlers has passed, p gets
// the Fallback instead, so that the rest of the batch does not delay the end further.
func (w *worker) serve(h Handler, p *Packet, last bool, t time.Duration) time.Duration {
	v, took, slow := w.q.cfg.Fallback, time.Duration(0), false
	if w.q.life.Limit().Passed() {
		w.q.stats.fallbackShutdown.Add(1)
	} else {
		p.deciding = true
		w.calls.Begin(p.id)
		w.times.Begin()
		v = h.ServePacket(p)
		w.times.End(p.received, p.held == nil)
		p.deciding = false
		took, slow = w.calls.Slow()
	}

	end := t
	if w.pace.Due() {
		end = sender.Now()
		w.pace.Measured(end-t, w.q.cfg.FlushAfter)
	}
	if w.decide(p, v, sender.Verdict{Called: t, Returned: end, SendNext: last}) {
		_ = w.q.out.Flush()
		end = sender.Now()
	}
	if slow { // told after the verdict: the Logger may take its time, or panic
		w.warnSlow(p, took)
	}
	return end
}

func (w *worker) warnSlow(p *Packet, took time.Duration) {
	flow, _ := p.Flow()
	w.q.log.Warn(sender.KindSlow, "nfqueue: a handler took long; packets wait meanwhile",
		"id", p.id, "flow", flow.String(), "took", took)
}

// decide gives the verdict of a handler to the sender. d says when it was decided. decide
// reports whether to flush now.
func (w *worker) decide(p *Packet, v Verdict, d sender.Verdict) (due bool) {
	q := w.q
	if p.held != nil {
		if v == Deferred {
			return false
		}
		if !p.held.claim() { // decided elsewhere meanwhile
			if p.held.abandoned() {
				return false
			}
			q.stats.alreadyResolved.Add(1)
			q.log.Warn(sender.KindInvalid,
				"nfqueue: a handler returned a verdict for a packet that it deferred and that was resolved",
				"id", p.id, "verdict", v)
			return false
		}
		q.held.Remove(&p.held.entry, nil)
		q.times.Decided(p.received)
	}
	rare := v > Stop || 1<<v&(1<<Drop|1<<Accept|1<<Stop) == 0
	if rare {
		if err := v.check(); err != nil {
			due = q.fallback(p.id, &q.stats.fallbackInvalid, d)
			q.log.Error(sender.KindInvalid, "nfqueue: a handler returned an invalid verdict",
				"id", p.id, "error", err)
			return due
		}
	}
	d.Decision = nfqmsg.Decision{ID: p.id, Word: uint32(v), Batch: q.mayBatch()}
	if v != Drop {
		d.Edits = &p.edits
	}
	due = q.out.Add(d)
	if rare {
		q.watchRounds(p, v)
	}
	return due
}

// watchRounds warns of a packet that a verdict sends to the same queue unchanged, over and over.
func (q *Queue) watchRounds(p *Packet, v Verdict) {
	help := "set a mark with Repeat and have the rule of the queue leave packets with it alone"
	if n, ok := v.Queue(); ok && n == q.cfg.Queue {
		help = "accept it, or send it to another queue"
	} else if v != Repeat {
		return
	}
	mark, _ := p.uint32(nfqmsg.AttrMark)
	if p.edits.Has(nfqmsg.EditPayload|nfqmsg.EditPriority|nfqmsg.EditVLAN) || p.Mark() != mark {
		return
	}
	n := q.rounds.Round(p.payload, mark)
	if n >= roundwatch.Limit {
		q.stats.looped.Add(1)
	}
	if n == roundwatch.Limit {
		flow, _ := p.Flow()
		q.log.Warn(sender.KindRounds, "nfqueue: a packet comes round again and again; "+help,
			"id", p.id, "flow", flow.String(), "verdict", v, "mark", mark, "rounds", n)
	}
}

// fallback gives the Fallback to a packet that no handler decided.
func (q *Queue) fallback(id uint32, counter *atomic.Uint64, d sender.Verdict) (due bool) {
	counter.Add(1)
	d.Decision = nfqmsg.Decision{ID: id, Word: uint32(q.cfg.Fallback), Batch: q.mayBatch()}
	return q.out.Add(d)
}

// panicked gives the Fallback to p, whose handler panicked with value v or ended its
// goroutine. The caller flushes next.
func (w *worker) panicked(p *Packet, v any) error {
	p.deciding = false
	w.times.End(p.received, p.held == nil)
	err := &PanicError{Value: v, Stack: debug.Stack()}
	if p.held != nil {
		if !p.held.claim() {
			return err
		}
		w.q.held.Remove(&p.held.entry, nil)
		w.q.times.Decided(p.received)
	}
	t := sender.Now()
	d := sender.Verdict{Called: t, Returned: t, SendNext: true}
	w.q.fallback(p.id, &w.q.stats.fallbackPanic, d)
	return err
}

// goesOnAfter reports whether Config has Serve go on after a handler panicked with err.
func (q *Queue) goesOnAfter(err error) bool {
	var p *PanicError
	if q.cfg.OnPanic == nil || !errors.As(err, &p) || p.Value == nil { // the goroutine is ending
		return false
	}
	q.cfg.OnPanic(p)
	return true
}
