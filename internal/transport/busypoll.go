// SPDX-License-Identifier: GPL-2.0-or-later

package transport

import (
	"runtime"
	"sync/atomic"
	"time"
)

// BusyPoll decides how long a Conn tries to receive again before it waits on the runtime's poller.
// To be woken from there costs a thread wake, which is most of the round trip of a lone packet.
//
// The window adapts as KVM's halt polling does: it grows while packets come soon after the wait
// began, and closes when one comes late. A queue without packets is therefore never polled.
//
// One goroutine at a time calls the methods. Any may call Spent.
type BusyPoll struct {
	limit time.Duration
	now   func() time.Duration
	procs func() int // GOMAXPROCS

	window time.Duration // of the next wait
	missed int           // waits in a row that a window of the limit was too short for
	rest   int           // waits for which the window stays closed

	waits bool
	began time.Duration // when the wait began
	until time.Duration // when polling ends

	// Of the current period: when it began, and how long was polled in it.
	period, polled time.Duration

	spent atomic.Int64
}

const (
	// firstWindow is how long the first polled wait is polled.
	firstWindow = 10 * time.Microsecond
	// lateFactor times the limit is the wait after which the window closes. A wait that was not
	// polled is longer than it would have been by up to two thread wakes, ours and the peer's.
	lateFactor = 4
	// After maxMissed polls in vain the window stays closed for restWaits: packets come often, but
	// not often enough. They may come sooner once they are answered sooner, so it opens again.
	maxMissed = 4
	restWaits = 64
	// pollPeriod and pollShare bound the processor time of a queue that polls in vain: at most
	// pollShare hundredths of each period.
	pollPeriod = 10 * time.Millisecond
	pollShare  = 90
)

// pollers counts the queues of this process that poll at the moment. One processor is always left
// to other goroutines.
var pollers atomic.Int32

// NewBusyPoll makes a BusyPoll that polls for at most limit each time; with 0 it never polls. now
// reads a monotonic clock.
func NewBusyPoll(limit time.Duration, now func() time.Duration) *BusyPoll {
	return &BusyPoll{limit: limit, now: now, procs: func() int { return runtime.GOMAXPROCS(0) }}
}

// Wait is called when there is nothing to receive. It reports whether to poll: then the caller
// tries again as long as Again says so, and calls Stop.
func (b *BusyPoll) Wait() bool {
	if b.limit == 0 {
		return false
	}
	b.began, b.waits = b.now(), true
	left := b.left()
	if b.window == 0 || left <= 0 {
		return false
	}
	if int(pollers.Add(1)) >= b.procs() {
		pollers.Add(-1)
		return false
	}
	b.until = b.began + min(b.window, left)
	return true
}

// left returns what is left of polling's share of the period.
func (b *BusyPoll) left() time.Duration {
	if b.began-b.period >= pollPeriod {
		b.period, b.polled = b.began, 0
	}
	return pollPeriod*pollShare/100 - b.polled
}

// Again lets other goroutines run and reports whether to try to receive again.
func (b *BusyPoll) Again() bool {
	runtime.Gosched()
	return b.now() < b.until
}

// Stop ends polling, whether or not something was received.
func (b *BusyPoll) Stop() {
	pollers.Add(-1)
	d := b.now() - b.began
	b.polled += d
	b.spent.Add(int64(d))
}

// Received is called when something was received, with or without a wait before. It adapts the
// window.
func (b *BusyPoll) Received() {
	if !b.waits {
		return
	}
	b.waits = false
	if b.rest > 0 {
		b.rest--
		return
	}
	switch wait := b.now() - b.began; {
	case wait <= b.window:
		b.missed = 0
	case wait > lateFactor*b.limit:
		b.window, b.missed = 0, 0
	case b.window < b.limit:
		b.window = min(max(2*b.window, firstWindow), b.limit)
	default:
		if b.missed++; b.missed == maxMissed {
			b.window, b.missed, b.rest = 0, 0, restWaits
		}
	}
}

// Spent returns how long was polled so far.
func (b *BusyPoll) Spent() time.Duration { return time.Duration(b.spent.Load()) }
