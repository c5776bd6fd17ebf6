// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chifflier/nfqueue-go/internal/sender"
)

// lossWatch logs when packets begin to be lost, and when that has ended. It looks at the
// counters once an interval while packets move, wait or are lost, and not at all while
// nothing happens.
type lossWatch struct {
	q     *Queue
	on    bool // somebody wants to know
	timer *time.Timer
	armed atomic.Bool

	mu      sync.Mutex
	batches uint64 // at the last look
	places  [2]lossPlace
}

// lossPlace is where packets are lost.
type lossPlace struct {
	begins, ended string // messages

	total  uint64 // at the last look
	before uint64 // when the loss began
	losing bool
	since  time.Duration
}

// lossInterval is how soon a loss is noticed, and how long none makes the end of one.
const lossInterval = time.Second

func (l *lossWatch) init(q *Queue) {
	l.q = q
	l.on = q.cfg.Logger.Enabled(context.Background(), slog.LevelWarn)
	l.places = [2]lossPlace{{
		begins: "nfqueue: packets are being lost because the receive buffer is full; raise Config.ReadBuffer (and net.core.rmem_max), or decide faster",
		ended:  "nfqueue: the receive buffer loses no more packets",
	}, {
		begins: "nfqueue: packets are being lost because the queue is full; raise Config.MaxLen, or decide faster",
		ended:  "nfqueue: the queue loses no more packets",
	}}
	l.timer = time.AfterFunc(time.Hour, l.look)
	l.timer.Stop()
}

// traffic is called when packets have arrived.
func (l *lossWatch) traffic() {
	if l.on && !l.armed.Load() && l.armed.CompareAndSwap(false, true) {
		l.timer.Reset(lossInterval)
	}
}

// totals returns how many packets have been lost in each place, as far as the kernel
// tells, and whether packets wait in the queue.
func (l *lossWatch) totals() (lost [2]uint64, waiting bool) {
	lost[0] = l.q.stats.lost.Load()
	if k, err := l.q.kernelQueue(); err == nil {
		// Only the ids tell of packets that FailOpen let pass.
		lost[0] = max(lost[0], uint64(k.UserDropped))
		lost[1] = uint64(k.QueueDropped)
		waiting = k.Backlog > 0
	}
	return lost, waiting
}

// resetBaseline ignores losses before this process took over.
func (l *lossWatch) resetBaseline() {
	lost, _ := l.totals()
	for i := range l.places {
		l.places[i].total = lost[i]
	}
}

func (l *lossWatch) look() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.armed.Store(false) // first, so that no traffic goes unnoticed
	if l.q.life.IsClosed() {
		return
	}
	lost, again := l.totals()
	if n := l.q.stats.batches.Load(); n != l.batches {
		l.batches, again = n, true
	}
	for i := range l.places {
		l.places[i].look(l.q.log.To, lost[i])
		again = again || l.places[i].losing
	}
	if again {
		l.traffic()
	}
}

// look compares the number of packets lost so far with that of the last look.
func (p *lossPlace) look(log *slog.Logger, total uint64) {
	switch more := total > p.total; {
	case more && !p.losing:
		p.losing, p.before, p.since = true, p.total, sender.Now()
		log.Warn(p.begins, "lost", total-p.total)
	case !more && p.losing:
		p.losing = false
		log.Warn(p.ended, "lost", total-p.before, "for", sender.Now()-p.since)
	}
	p.total = max(p.total, total)
}

func (l *lossWatch) close() { l.timer.Stop() }
