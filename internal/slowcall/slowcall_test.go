// SPDX-License-Identifier: GPL-2.0-or-later

package slowcall

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestSlow: a call is slow that takes longer than the limit and a quarter, and none is that
// takes less than the limit. The time told is never more than the true one.
func TestSlow(t *testing.T) {
	const limit = 100 * time.Millisecond
	for _, c := range []struct {
		took time.Duration
		slow bool
	}{
		{0, false}, {limit / 2, false}, {limit - 1, false}, {limit + limit/looks + 1, true},
		{time.Hour, true},
	} {
		for _, before := range []time.Duration{0, limit / 7, limit} {
			synctest.Test(t, func(t *testing.T) {
				var w Watch
				w.Init(limit)
				defer w.Stop()
				calls := w.Goroutine()
				defer calls.Done()
				w.Traffic()
				id := uint32(0)
				for end := time.Now().Add(before); time.Now().Before(end); time.Sleep(time.Millisecond) {
					id++
					calls.Begin(id)
				}
				id++
				calls.Begin(id)
				time.Sleep(c.took)
				took, slow := calls.Slow()
				if slow != c.slow || took > c.took || slow && took < c.took-limit/looks {
					t.Errorf("a call of %v after %v: slow %v, %v", c.took, before, slow, took)
				}
				if _, again := calls.Slow(); again {
					t.Error("told twice")
				}
				calls.Begin(id + 1)
				calls.Idle()
				time.Sleep(time.Hour)
				if _, slow := calls.Slow(); slow {
					t.Error("an idle goroutine is slow")
				}
				if w.armed.Load() {
					t.Error("it is looked at although nothing happens")
				}
			})
		}
	}
}

// TestLate: a call that ends just when it is found to be slow does not make the next one slow.
func TestLate(t *testing.T) {
	var w Watch
	w.Init(time.Hour)
	defer w.Stop()
	calls := w.Goroutine()
	defer calls.Done()
	calls.Begin(1)
	for range looks {
		w.look()
	}
	now := calls.current.Load() // as the last look does
	calls.Begin(2)
	calls.slow.Store(now)
	if _, slow := calls.Slow(); slow {
		t.Error("the call after a slow one is slow")
	}
}

// TestOff: nothing is slow without a limit.
func TestOff(t *testing.T) {
	var w Watch
	w.Init(0)
	defer w.Stop()
	calls := w.Goroutine()
	w.Traffic()
	calls.Begin(1)
	if _, slow := calls.Slow(); slow || calls != nil {
		t.Error("slow")
	}
	calls.Idle()
	calls.Done()
}
