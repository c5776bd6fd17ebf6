// SPDX-License-Identifier: GPL-2.0-or-later

package sender

import "time"

// watchdog looks for overdue verdicts once an interval while batches are being handled. It
// is not started for a lone packet. Guarded by Sender.mu.
type watchdog struct {
	timer    *time.Timer
	running  bool
	interval time.Duration // until the next look
	longest  time.Duration
	exact    bool   // look when the oldest verdict is due
	number   uint64 // of the datagram that was open at the last look
}

// The interval is how much longer than FlushAfter a verdict may wait while a handler that was
// called after it does not return. Every look wakes a thread, which costs a busy queue: while
// nothing is overdue the interval grows. A FlushAfter of at least minInterval is kept to.
const (
	minInterval = time.Millisecond
	maxInterval = 16 * time.Millisecond
)

func (w *watchdog) init(flushAfter time.Duration, look func()) {
	w.exact = flushAfter >= minInterval
	w.interval, w.longest = minInterval, maxInterval
	if w.exact {
		w.longest = min(flushAfter, maxInterval)
	}
	w.timer = time.AfterFunc(time.Hour, look)
	w.timer.Stop()
}

func (w *watchdog) startLocked() {
	if !w.running {
		w.running = true
		w.timer.Reset(w.interval)
	}
}

// againLocked sets the time of the next look. When verdicts wait, the oldest is due after
// left.
func (w *watchdog) againLocked(number uint64, waiting bool, left time.Duration) {
	w.running = waiting || number != w.number
	w.number = number
	overdue := waiting && left <= 0
	if w.running && !overdue {
		w.interval = min(2*w.interval, w.longest)
	} else {
		w.interval = minInterval
	}
	if !w.running {
		return
	}
	next := w.interval
	if w.exact && waiting && !overdue {
		next = min(next, left)
	}
	w.timer.Reset(next)
}
