// SPDX-License-Identifier: GPL-2.0-or-later

// Package slowcall notices calls that take long, without reading the clock for each.
package slowcall

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Watch looks at the running calls of some goroutines while there is traffic.
type Watch struct {
	after time.Duration // zero is never
	timer *time.Timer
	armed atomic.Bool

	mu    sync.Mutex
	calls []*Calls
}

// looks is how often a call is looked at before it is slow. A call is noticed when it has run
// for the limit, and before the limit and 1/looks of it.
const looks = 4

// Init comes before anything else. Calls are slow that take longer than after; with zero none
// is.
func (w *Watch) Init(after time.Duration) {
	w.after = after
	w.timer = time.AfterFunc(time.Hour, w.look)
	w.timer.Stop()
}

// Calls are those of one goroutine. A nil Calls does nothing.
type Calls struct {
	watch *Watch
	// current is the call that runs, by its id and with the bit running, or the last one.
	current atomic.Uint64
	// slow is current when that has been running for long.
	slow atomic.Uint64

	// Owned by Watch.mu.
	seen  uint64 // current, when it was first looked at
	since time.Time
	count int // looks at it
}

const running = 1 << 32

// Goroutine returns the Calls of a goroutine, until it calls Done. It is nil if no call is slow.
func (w *Watch) Goroutine() *Calls {
	if w.after == 0 {
		return nil
	}
	c := &Calls{watch: w}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = append(w.calls, c)
	return c
}

// Done says that the goroutine makes no more calls.
func (c *Calls) Done() {
	if c == nil {
		return
	}
	c.watch.mu.Lock()
	defer c.watch.mu.Unlock()
	c.watch.calls = slices.DeleteFunc(c.watch.calls, func(o *Calls) bool { return o == c })
}

// Begin begins a call. Consecutive ones have different ids.
func (c *Calls) Begin(id uint32) {
	if c != nil {
		c.current.Store(uint64(id) | running)
	}
}

// Slow reports, after a call, whether it took long, and how long at least.
func (c *Calls) Slow() (took time.Duration, slow bool) {
	if c == nil {
		return 0, false
	}
	// An earlier call may have ended just when it was found to be slow.
	if slow := c.slow.Load(); slow == 0 || slow != c.current.Load() {
		return 0, false
	}
	return c.tookLong(), true
}

func (c *Calls) tookLong() time.Duration {
	c.watch.mu.Lock()
	defer c.watch.mu.Unlock()
	c.slow.Store(0)
	c.seen = 0
	return time.Since(c.since)
}

// Idle says that no call runs until the next Begin.
func (c *Calls) Idle() {
	if c != nil {
		c.current.Store(0)
	}
}

// Traffic is called when there may be calls.
func (w *Watch) Traffic() {
	if w.after > 0 && !w.armed.Load() && w.armed.CompareAndSwap(false, true) {
		w.timer.Reset(w.after / looks)
	}
}

func (w *Watch) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.armed.Store(false)
	for _, c := range w.calls {
		now := c.current.Load()
		if now&running == 0 {
			continue
		}
		w.Traffic()
		if now != c.seen {
			c.seen, c.since, c.count = now, time.Now(), 0
			continue
		}
		if c.count++; c.count == looks {
			c.slow.Store(now)
		}
	}
}

// Stop ends the watch.
func (w *Watch) Stop() { w.timer.Stop() }
