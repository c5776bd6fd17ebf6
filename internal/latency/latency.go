// SPDX-License-Identifier: GPL-2.0-or-later

// Package latency counts, in histograms, how long handlers take and how long packets wait for
// their verdict.
package latency

import (
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chifflier/nfqueue-go/internal/sender"
)

// Buckets is the number of buckets of a histogram. Each holds durations of up to twice the
// bound of the one before, the last one all that are longer.
const Buckets = 27

// smallest is the bound of the first bucket; that of the last but one is 8.4 seconds.
const smallest = 250 * time.Nanosecond

// Bound is the longest duration in bucket i, which is not the last.
func Bound(i int) time.Duration { return smallest << i }

// Counts is what a histogram has counted.
type Counts struct {
	Buckets [Buckets]uint64
	Sum     time.Duration
}

type histogram struct {
	buckets [Buckets]atomic.Uint64
	sum     atomic.Int64
}

func (h *histogram) add(d time.Duration) {
	i := 0
	if d > 0 {
		i = min(bits.Len64(uint64((d-1)/smallest)), Buckets-1)
	}
	h.buckets[i].Add(1)
	h.sum.Add(int64(d))
}

func (h *histogram) addTo(c *Counts) {
	for i := range h.buckets {
		c.Buckets[i] += h.buckets[i].Load()
	}
	c.Sum += time.Duration(h.sum.Load())
}

// Times are those of a queue. Init comes before anything else.
type Times struct {
	on bool

	mu   sync.Mutex
	all  []*Calls // of goroutines that call handlers
	past Calls    // of those that do so no more, and Decided
}

// Init says whether anything is measured.
func (t *Times) Init(on bool) { t.on = on }

// Now returns the time on the clock of package sender, or 0 if nothing is measured.
func (t *Times) Now() time.Duration {
	if !t.on {
		return 0
	}
	return sender.Now()
}

// Decided counts a packet that was received at a time and is decided now, outside of its
// handler.
func (t *Times) Decided(received time.Duration) {
	if t.on {
		t.past.decided.add(sender.Now() - received)
	}
}

// Read returns the durations of the calls of handlers, and from receiving packets to deciding
// them. It reports false if nothing is measured.
func (t *Times) Read() (handler, decided Counts, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range append([]*Calls{&t.past}, t.all...) {
		c.handler.addTo(&handler)
		c.decided.addTo(&decided)
	}
	return handler, decided, t.on
}

// Calls are the calls of handlers by one goroutine, which count without disturbing others. A nil
// Calls does nothing.
type Calls struct {
	times            *Times
	called           time.Duration
	handler, decided histogram
}

// Goroutine returns the Calls of a goroutine, until it calls Done. It is nil if nothing is
// measured.
func (t *Times) Goroutine() *Calls {
	if !t.on {
		return nil
	}
	c := &Calls{times: t}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all = append(t.all, c)
	return c
}

// Begin begins a call.
func (c *Calls) Begin() {
	if c != nil {
		c.called = sender.Now()
	}
}

// End ends it. The packet was received at a time, and is decided unless it was deferred.
func (c *Calls) End(received time.Duration, decided bool) {
	if c != nil {
		c.end(received, decided)
	}
}

func (c *Calls) end(received time.Duration, decided bool) {
	now := sender.Now()
	c.handler.add(now - c.called)
	if decided {
		c.decided.add(now - received)
	}
}

// Done says that the goroutine makes no more calls.
func (c *Calls) Done() {
	if c == nil {
		return
	}
	t := c.times
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all = slices.DeleteFunc(t.all, func(o *Calls) bool { return o == c })
	t.past.handler.merge(&c.handler)
	t.past.decided.merge(&c.decided)
}

func (h *histogram) merge(o *histogram) {
	for i := range o.buckets {
		h.buckets[i].Add(o.buckets[i].Load())
	}
	h.sum.Add(o.sum.Load())
}
