// SPDX-License-Identifier: GPL-2.0-or-later

package impair

import (
	"math"
	"testing"
	"time"
)

// engine makes one with settings in words.
func engine(t *testing.T, seed uint64, settings string) *Engine {
	t.Helper()
	s, err := ParseSettings(settings)
	if err != nil {
		t.Fatal(err)
	}
	e := NewEngine(seed, 0)
	e.Set(s)
	return e
}

const many = 200_000

// wantShare fails if hits of n are not what chance p makes of it: more than 5 standard deviations
// off.
func wantShare(t *testing.T, what string, hits, n int, p float64) {
	t.Helper()
	sigma := math.Sqrt(p * (1 - p) * float64(n))
	if off := math.Abs(float64(hits) - p*float64(n)); off > 5*sigma {
		t.Errorf("%s: %d of %d, want %.1f give or take %.1f", what, hits, n, p*float64(n), 5*sigma)
	}
}

func TestShares(t *testing.T) {
	for seed := range uint64(5) {
		e := engine(t, seed, "loss 5% corrupt 2% truncate 3% reorder 25% delay 1s limit 60000")
		var lost, corrupt, truncate, ahead int
		for range many {
			d := e.Decide(0, 100, 0)
			if d.Fate == Lost {
				lost++
				continue
			}
			for _, c := range []struct {
				yes   bool
				count *int
			}{{d.Corrupt, &corrupt}, {d.Truncate, &truncate}, {d.Ahead, &ahead}} {
				if c.yes {
					*c.count++
				}
			}
			if want := time.Second; !d.Ahead && d.At != want || d.Ahead && d.At != 0 {
				t.Fatalf("ahead %v, at %v", d.Ahead, d.At)
			}
		}
		wantShare(t, "lost", lost, many, 0.05)
		wantShare(t, "corrupt", corrupt, many-lost, 0.02)
		wantShare(t, "truncate", truncate, many-lost, 0.03)
		wantShare(t, "ahead", ahead, many-lost, 0.25)
	}
}

// losses returns how many packets are lost, and in how many bursts.
func losses(e *Engine) (lost, bursts int) {
	last := Pass
	for range many {
		d := e.Decide(0, 100, 0)
		if d.Fate == Lost {
			lost++
			if last != Lost {
				bursts++
			}
		}
		last = d.Fate
	}
	return lost, bursts
}

func TestBursts(t *testing.T) {
	for _, test := range []struct {
		settings    string
		share, mean float64
	}{
		{"loss 10%", 0.1, 1 / 0.9},
		{"loss 10% burst 1", 0.1, 1},
		{"loss 10% burst 8", 0.1, 8},
		{"loss 50% burst 2", 0.5, 2},
		{"gemodel 1%,10%", 1.0 / 11, 10},
		{"gemodel 30%", 0.3, 1 / 0.7},
		{"gemodel 1%,10%,50%,1%", 1.0/11*0.5 + 10.0/11*0.01, 0},
		{"loss 100%", 1, many},
		{"loss 0%", 0, 0},
	} {
		lost, bursts := losses(engine(t, 1, test.settings))
		if share := float64(lost) / many; math.Abs(share-test.share) > 0.07*test.share {
			t.Errorf("%s: lost %.4f, want %.4f", test.settings, share, test.share)
		}
		if mean := float64(lost) / float64(bursts); test.mean > 0 &&
			math.Abs(mean-test.mean) > 0.07*test.mean {
			t.Errorf("%s: bursts of %.2f, want %.2f", test.settings, mean, test.mean)
		}
		s, _ := ParseSettings(test.settings)
		if got := s.lossModel().Loss(); math.Abs(got-test.share) > 1e-9 {
			t.Errorf("%s: the model says %v, want %v", test.settings, got, test.share)
		}
	}
}

// TestRepeatable: the n-th packet has its chance, whatever the time, the lengths and the other
// settings.
func TestRepeatable(t *testing.T) {
	run := func(seed, stream uint64, settings string, step time.Duration) (fates []bool,
		random []uint64) {
		s, err := ParseSettings(settings)
		if err != nil {
			t.Fatal(err)
		}
		e := NewEngine(seed, stream)
		e.Set(s)
		for i := range 2000 {
			d := e.Decide(time.Duration(i)*step, 100+i, 0)
			fates, random = append(fates, d.Fate == Lost, d.Corrupt), append(random, d.Random)
		}
		return fates, random
	}
	same := func(a, b []bool) bool {
		for i := range a {
			if a[i] != b[i] {
				return false
			}
		}
		return true
	}
	fates, random := run(7, 0, "loss 20% corrupt 10%", 0)
	again, randomAgain := run(7, 0,
		"loss 20% corrupt 10% delay 1s jitter 100ms distribution paretonormal rate 1mbit reorder 10%",
		time.Millisecond)
	if !same(fates, again) || random[1999] != randomAgain[1999] {
		t.Error("other settings and times change what is lost or damaged")
	}
	if other, _ := run(8, 0, "loss 20% corrupt 10%", 0); same(fates, other) {
		t.Error("another seed changes nothing")
	}
	if other, _ := run(7, 1, "loss 20% corrupt 10%", 0); same(fates, other) {
		t.Error("another stream changes nothing")
	}
}

func TestLimit(t *testing.T) {
	e := engine(t, 1, "delay 1s limit 3")
	if d := e.Decide(0, 100, 2); d.Fate != Pass {
		t.Error("2 wait: ", d.Fate)
	}
	if d := e.Decide(0, 100, 3); d.Fate != Full {
		t.Error("3 wait: ", d.Fate)
	}
	if e := engine(t, 1, "delay 1s"); e.Decide(0, 100, DefaultLimit-1).Fate != Pass ||
		e.Decide(0, 100, DefaultLimit).Fate != Full {
		t.Error("the default is another")
	}
}

// TestLink: packets go through the link one after the other, and no time is lost in rounding.
func TestLink(t *testing.T) {
	e := engine(t, 1, "rate 3mbit overhead 24 delay 10ms")
	var d Decision
	for i := range 3_000_000 {
		d = e.Decide(time.Duration(i)*10, 101, 0)
	}
	// 3e6 packets of 125 bytes at 3e6 bit/s.
	if want := 1000*time.Second + 10*time.Millisecond; d.At != want {
		t.Errorf("the last leaves at %v, want %v", d.At, want)
	}
	// When the link is idle, a packet takes its own time.
	if d = e.Decide(2000*time.Second, 351, 0); d.At != 2000*time.Second+time.Millisecond+10*time.Millisecond {
		t.Errorf("alone it leaves at %v", d.At)
	}
	// One that goes ahead passes through the link too.
	e = engine(t, 1, "rate 1mbit delay 10ms reorder 100%")
	if d = e.Decide(0, 125, 0); d.At != time.Millisecond || !d.Ahead {
		t.Errorf("ahead %v, at %v", d.Ahead, d.At)
	}
	if d = e.Decide(0, 125, 0); d.At != 2*time.Millisecond {
		t.Errorf("the second at %v", d.At)
	}
}

func TestOrderOfDepartures(t *testing.T) {
	for _, test := range []struct {
		settings string
		keeps    bool
	}{
		{"delay 50ms jitter 20ms", true},
		{"delay 50ms jitter 20ms distribution pareto", true},
		{"delay 50ms jitter 20ms order free", false},
	} {
		e := engine(t, 3, test.settings)
		var last time.Duration
		keeps := true
		for i := range 1000 {
			now := time.Duration(i) * time.Millisecond
			d := e.Decide(now, 100, 0)
			keeps = keeps && d.At >= last
			last = d.At
			if d.At < now {
				t.Fatalf("%s: leaves at %v before it comes at %v", test.settings, d.At, now)
			}
		}
		if keeps != test.keeps {
			t.Errorf("%s: keeps the order: %v", test.settings, keeps)
		}
	}
}

func TestGap(t *testing.T) {
	e := engine(t, 1, "delay 10ms reorder 100% gap 5")
	for i := 1; i <= 20; i++ {
		if d := e.Decide(0, 100, 0); d.Ahead != (i%5 == 0) {
			t.Errorf("packet %d ahead: %v", i, d.Ahead)
		}
	}
}

// moments returns mean, standard deviation and the correlation of neighbours of the delays, in
// units of the jitter.
func moments(e *Engine) (mean, deviation, correlation float64) {
	var x []float64
	for range many {
		d := e.Decide(0, 100, 0)
		x = append(x, float64(d.At-e.settings.Delay)/float64(e.settings.Jitter))
	}
	for _, v := range x {
		mean += v / many
	}
	for i, v := range x {
		deviation += (v - mean) * (v - mean) / many
		if i > 0 {
			correlation += (v - mean) * (x[i-1] - mean) / many
		}
	}
	return mean, math.Sqrt(deviation), correlation / deviation
}

func TestJitter(t *testing.T) {
	for _, test := range []struct {
		words                        string
		mean, deviation, correlation float64
	}{
		{"", 0, 1 / math.Sqrt(3), 0},
		{"distribution normal", 0, 1, 0},
		{"distribution pareto", 0, 1, 0},
		{"distribution paretonormal", 0, 1, 0},
		{"distribution normal correlation 75%", 0, 1, 0.75},
		{"correlation 50%", 0, 1 / math.Sqrt(3), 0.48},
	} {
		mean, deviation, correlation := moments(engine(t, 1, "delay 1h jitter 1s order free "+test.words))
		const slack = 0.06 // the tail of pareto is heavy
		if math.Abs(mean-test.mean) > slack || math.Abs(deviation-test.deviation) > slack ||
			math.Abs(correlation-test.correlation) > slack {
			t.Errorf("%q: mean %.3f, deviation %.3f, correlation %.3f; want %v", test.words, mean, deviation,
				correlation, test)
		}
	}
	// Uniform stays within its bounds, the others do not.
	for _, words := range []string{"", "distribution normal", "distribution pareto",
		"distribution paretonormal"} {
		e := engine(t, 1, "delay 1h jitter 1s order free "+words)
		var most float64
		for range many {
			most = max(most, math.Abs((e.Decide(0, 100, 0).At - time.Hour).Seconds()))
		}
		if (words == "") != (most <= 1) {
			t.Errorf("%q: up to %.2f times the jitter", words, most)
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	e := NewEngine(1, 0)
	e.Set(
		Settings{
			Delay:        time.Millisecond,
			Jitter:       time.Millisecond,
			Distribution: ParetoNormal,
			Loss:         0.1,
			Rate:         1e9,
		},
	)
	b.ReportAllocs()
	for i := range b.N {
		e.Decide(time.Duration(i), 100, 0)
	}
}
