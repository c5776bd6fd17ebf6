// SPDX-License-Identifier: GPL-2.0-or-later

package latency

import (
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestBuckets: a duration is in the first bucket whose bound it does not exceed.
func TestBuckets(t *testing.T) {
	durations := []time.Duration{-1, 0, 1, 250, 251, 500, 501, time.Second, time.Hour, math.MaxInt64}
	for i := range Buckets - 1 {
		durations = append(durations, Bound(i)-1, Bound(i), Bound(i)+1)
	}
	for _, d := range durations {
		var h histogram
		var got Counts
		h.add(d)
		h.addTo(&got)
		want := 0
		for want < Buckets-1 && d > Bound(want) {
			want++
		}
		if got.Buckets[want] != 1 || got.Sum != d {
			t.Errorf("%v: %+v, want bucket %d", d, got, want)
		}
	}
}

// TestRead: nothing is lost or counted twice while goroutines come and go.
func TestRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var times Times
		times.Init(true)
		const goroutines, calls = 4, 100
		var running sync.WaitGroup
		for range goroutines {
			running.Go(func() {
				c := times.Goroutine()
				defer c.Done()
				for i := range calls {
					received := times.Now()
					time.Sleep(time.Millisecond)
					c.Begin()
					time.Sleep(time.Microsecond)
					c.End(received, i > 0)
				}
			})
		}
		running.Wait()
		received := times.Now()
		time.Sleep(time.Hour)
		times.Decided(received)
		handler, decided, ok := times.Read()
		want := Counts{Sum: goroutines * calls * time.Microsecond}
		want.Buckets[2] = goroutines * calls
		if !ok || handler != want {
			t.Errorf("handler %+v, want %+v", handler, want)
		}
		n := uint64(goroutines * (calls - 1))
		want = Counts{Sum: time.Duration(n)*1001*time.Microsecond + time.Hour}
		want.Buckets[12], want.Buckets[Buckets-1] = n, 1
		if decided != want {
			t.Errorf("decided %+v, want %+v", decided, want)
		}
	})
}

// TestOff: nothing is measured unless that is asked for.
func TestOff(t *testing.T) {
	var times Times
	times.Init(false)
	c := times.Goroutine()
	c.Begin()
	c.End(times.Now(), true)
	c.Done()
	times.Decided(times.Now())
	if handler, decided, ok := times.Read(); c != nil || ok || handler != decided || handler.Sum != 0 {
		t.Errorf("%v, %v, %v", handler, decided, ok)
	}
}
