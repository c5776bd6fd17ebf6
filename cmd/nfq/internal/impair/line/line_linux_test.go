// SPDX-License-Identifier: GPL-2.0-or-later

package line

import (
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// patience bounds every wait for something that must come.
const patience = 20 * time.Second

var start = time.Now()

func clock() time.Duration { return time.Since(start) }

// TestLineOrder: things leave by their times, equal ones as they came, none too early.
func TestLineOrder(t *testing.T) {
	type thing struct {
		at     time.Duration
		number int
	}
	const n = 500
	got := make(chan thing, n)
	var early atomic.Int64
	l, err := New(clock, func(x thing, at time.Duration) {
		if at != x.at || clock() < at {
			early.Add(1)
		}
		got <- x
	})
	if err != nil {
		t.Fatal(err)
	}
	var want []thing
	random := rand.New(rand.NewPCG(1, 1))
	begin := clock() + 20*time.Millisecond
	for i := range n {
		x := thing{begin + time.Duration(random.IntN(20))*time.Millisecond, i}
		want = append(want, x)
		l.Add(x, x.at)
	}
	slices.SortStableFunc(want, func(a, b thing) int { return int(a.at - b.at) })
	for i, w := range want {
		select {
		case x := <-got:
			if clock() < begin {
				t.Skip("the machine is too slow to say")
			}
			if x != w {
				t.Fatalf("thing %d is %v, want %v", i, x, w)
			}
		case <-time.After(patience):
			t.Fatal("things are missing from", i)
		}
	}
	l.Close()
	if early.Load() > 0 {
		t.Errorf("%d left too early", early.Load())
	}
	if l.Len() != 0 {
		t.Error("the line is not empty:", l.Len())
	}
}

// TestLineEnds: nothing stays when the line is closed.
func TestLineEnds(t *testing.T) {
	var got []int
	l, err := New(clock, func(x int, _ time.Duration) { got = append(got, x) })
	if err != nil {
		t.Fatal(err)
	}
	l.Add(2, clock()+2*time.Hour)
	l.Add(1, clock()+time.Hour)
	l.Add(3, Never)
	if l.Len() != 3 {
		t.Error("waiting:", l.Len())
	}
	l.Close()
	if !slices.Equal(got, []int{1, 2, 3}) {
		t.Error("handed out:", got)
	}
}

// TestLineSooner: the goroutine that waits for a late thing notices an early one.
func TestLineSooner(t *testing.T) {
	got := make(chan string, 2)
	l, err := New(clock, func(x string, _ time.Duration) { got <- x })
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	l.Add("late", clock()+time.Hour)
	for _, x := range []string{"soon", "sooner"} {
		l.Add(x, clock()+time.Millisecond)
		select {
		case y := <-got:
			if x != y {
				t.Errorf("%s instead of %s", y, x)
			}
		case <-time.After(patience):
			t.Fatal(x, "does not come")
		}
	}
}

// BenchmarkLate measures how late things leave that nothing else delays.
func BenchmarkLate(b *testing.B) {
	got := make(chan time.Duration, 1)
	l, err := New(clock, func(_ struct{}, at time.Duration) { got <- clock() - at })
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	var all []time.Duration
	for range b.N {
		l.Add(struct{}{}, clock()+time.Millisecond)
		all = append(all, <-got)
	}
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)/2].Nanoseconds()), "ns-late-p50")
	b.ReportMetric(float64(all[len(all)*99/100].Nanoseconds()), "ns-late-p99")
}
