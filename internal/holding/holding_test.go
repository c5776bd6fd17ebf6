// SPDX-License-Identifier: GPL-2.0-or-later

package holding

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestDeadlines: entries become overdue in the order of their deadlines, at these, and not
// once they have been removed.
func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		after := func(s int) time.Time { return began.Add(time.Duration(s) * time.Second) }
		var s Set[string]
		var at []string
		entries := make(map[string]*Entry[string])
		s.Init(func(name string) {
			at = append(at, name+" after "+time.Since(began).String())
			s.Remove(entries[name], nil)
		}, func() {})
		defer s.Stop()
		for name, deadline := range map[string]time.Time{
			"c": after(3), "a": after(1), "b": after(2), "none": {}, "removed": after(2), "later": after(1),
			"limited": {},
		} {
			entries[name] = new(Entry[string])
			s.Add(entries[name], name, deadline)
		}
		var removed atomic.Uint64
		s.Remove(entries["removed"], &removed)
		s.SetDeadline(entries["later"], after(5))
		s.SetDeadline(entries["limited"], after(4))
		s.SetDeadline(entries["removed"], after(1)) // it is not listed any more
		time.Sleep(time.Hour)
		synctest.Wait()
		want := []string{"a after 1s", "b after 2s", "c after 3s", "limited after 4s", "later after 5s"}
		if !slices.Equal(at, want) {
			t.Errorf("overdue: %q, want %q", at, want)
		}
		if got := s.Owners(); removed.Load() != 1 || s.Len() != 1 ||
			!slices.Equal(got, []string{"none"}) {
			t.Errorf("counted %d, left %q", removed.Load(), got)
		}
	})
}

// TestWait waits until nothing is listed, or for no longer than it is told.
func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Set[int]
		s.Init(func(int) {}, func() {})
		defer s.Stop()
		s.Wait(context.Background(), nil) // nothing is listed
		var e [2]Entry[int]
		s.Add(&e[0], 0, time.Time{})
		s.Add(&e[1], 1, time.Time{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		s.Wait(ctx, nil)
		if took := time.Since(began); took != time.Second {
			t.Errorf("waited %v for its context", took)
		}
		done := make(chan struct{})
		time.AfterFunc(time.Second, func() { close(done) })
		s.Wait(context.Background(), done)
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("waited until %v for done", took)
		}
		for i := range e {
			time.AfterFunc(time.Duration(1+i)*time.Second, func() { s.Remove(&e[i], nil) })
		}
		s.Wait(context.Background(), nil)
		if took := time.Since(began); took != 4*time.Second {
			t.Errorf("waited until %v for the last entry", took)
		}
	})
}
