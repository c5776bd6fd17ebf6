// SPDX-License-Identifier: GPL-2.0-or-later

// Package losslog logs when packets begin to be lost, and when that has ended.
package losslog

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Totals are what a queue has counted since it was opened.
type Totals struct {
	// Buffer and Queue are the packets lost because the receive buffer, or the queue, was full.
	Buffer, Queue uint64
	// Batches is the number of receive calls that brought something.
	Batches uint64
	// Waiting says that packets wait in the queue.
	Waiting bool
}

// Watch looks at the totals once a second while packets move, wait or are lost, and not at
// all while nothing happens.
type Watch struct {
	log     *slog.Logger
	totals  func() Totals
	on      bool // the log has readers
	timer   *time.Timer
	armed   atomic.Bool
	stopped atomic.Bool

	mu      sync.Mutex
	batches uint64 // at the last look
	places  [2]place
}

// place is where packets are lost.
type place struct {
	begins, ended string // messages

	total  uint64 // at the last look
	before uint64 // when the loss began
	losing bool
	since  time.Time
}

// interval is how soon a loss is noticed, and how long none makes the end of one.
const interval = time.Second

// Init comes before anything else.
func (w *Watch) Init(log *slog.Logger, totals func() Totals) {
	w.log, w.totals = log, totals
	w.on = log.Enabled(context.Background(), slog.LevelWarn)
	w.places = [2]place{{
		begins: "nfqueue: packets are being lost because the receive buffer is full; " +
			"raise Config.ReadBuffer (and net.core.rmem_max), or decide faster",
		ended: "nfqueue: the receive buffer loses no more packets",
	}, {
		begins: "nfqueue: packets are being lost because the queue is full; " +
			"raise Config.MaxLen, or decide faster",
		ended: "nfqueue: the queue loses no more packets",
	}}
	w.timer = time.AfterFunc(time.Hour, w.look)
	w.timer.Stop()
}

// Traffic is called when packets have arrived.
func (w *Watch) Traffic() {
	if w.on && !w.armed.Load() && w.armed.CompareAndSwap(false, true) {
		w.timer.Reset(interval)
	}
}

// ResetBaseline ignores losses up to now.
func (w *Watch) ResetBaseline() {
	t := w.totals()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.places[0].total, w.places[1].total = t.Buffer, t.Queue
}

func (w *Watch) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.armed.Store(false) // first, so that no traffic goes unnoticed
	if w.stopped.Load() {
		return
	}
	t := w.totals()
	again := t.Waiting || t.Batches != w.batches
	w.batches = t.Batches
	for i, total := range [2]uint64{t.Buffer, t.Queue} {
		w.places[i].look(w.log, total)
		again = again || w.places[i].losing
	}
	if again {
		w.Traffic()
	}
}

// look compares the number of packets lost so far with that of the last look.
func (p *place) look(log *slog.Logger, total uint64) {
	switch more := total > p.total; {
	case more && !p.losing:
		p.losing, p.before, p.since = true, p.total, time.Now()
		log.Warn(p.begins, "lost", total-p.total)
	case !more && p.losing:
		p.losing = false
		log.Warn(p.ended, "lost", total-p.before, "for", time.Since(p.since))
	}
	p.total = max(p.total, total)
}

// Stop ends the watch. A line that is being written may call it.
func (w *Watch) Stop() {
	w.stopped.Store(true)
	w.timer.Stop()
}
