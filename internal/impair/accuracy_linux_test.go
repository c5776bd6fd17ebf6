// SPDX-License-Identifier: GPL-2.0-or-later

package impair

import (
	"errors"
	"math"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
)

// attempts is how often an accuracy is measured, shortly: what else the machine does only makes it worse.
const attempts = 100

// TestDelayAccuracy: packets arrive no sooner than the delay says, half of them within 200 microseconds more and 99 of 100
// within a millisecond, which includes their way through the queue and what it takes to wake the receiver.
func TestDelayAccuracy(t *testing.T) {
	if testing.Short() {
		t.Skip("measuring takes long")
	}
	const delay = 5 * time.Millisecond
	half, most := 200*time.Microsecond, time.Millisecond
	if raceDetector {
		half, most = 10*half, 10*most
	}
	both(t, func(t *testing.T, l *link) {
		l.arrivals(t)
		for _, side := range []struct {
			host *netlab.Host
			rule string
		}{{l.Client, "out udp dport 4000"}, {l.Server, "in udp dport 4000"}} {
			s := begin(t, side.host, "delay "+delay.String(), Config{}, side.rule)
			median, p99 := time.Duration(math.MaxInt64), time.Duration(math.MaxInt64)
			for attempt := 0; attempt < attempts && (median > half || p99 > most); attempt++ {
				over := l.delays(t, delay)
				if over[0] < 0 {
					t.Fatalf("%s: a packet arrived %v too early", side.rule, -over[0])
				}
				median, p99 = min(median, over[len(over)/2]), min(p99, over[(len(over)-1)*99/100])
			}
			c := s.Report()[There].Counters
			t.Logf("%s: median %v, p99 %v after the delay at best; released %v late in the median, %v at p99", side.rule, median, p99, c.Late.Median, c.Late.P99)
			if median > half || p99 > most {
				t.Errorf("%s: median %v and p99 %v after the delay, want at most %v and %v", side.rule, median, p99, half, most)
			}
		}
	})
}

// delays sends datagrams and returns how much longer than the delay each took, in order. Its threads are as urgent as
// that of the line, so that they measure the line and not themselves.
func (l *link) delays(t *testing.T, delay time.Duration) []time.Duration {
	const n, pace = 100, 300 * time.Microsecond
	labtest.Must(t, l.client.SetDeadline(time.Now().Add(patience)))
	var sent, arrived [n]time.Time
	received := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		sharpenTimers()
		received <- l.receiveTimes(arrived[:])
	}()
	wrote := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		sharpenTimers()
		var err error
		for i := range sent {
			time.Sleep(pace)
			sent[i] = time.Now().Round(0)
			_, e := l.client.Write(number(i, 64))
			err = errors.Join(err, e)
		}
		wrote <- err
	}()
	labtest.Must(t, errors.Join(<-wrote, <-received))
	var over []time.Duration
	for i := range sent {
		over = append(over, arrived[i].Sub(sent[i])-delay)
	}
	slices.Sort(over)
	return over
}

// TestLossAccuracy: the receiving host sees as many packets as the binomial distribution allows.
func TestLossAccuracy(t *testing.T) {
	both(t, func(t *testing.T, l *link) {
		const loss = 0.1
		n := 20_000
		if testing.Short() {
			n = 2000
		}
		chain := labtest.Chain(t, l.Server, netlab.Inet, netlab.Prerouting, 0)
		seen := labtest.Rule(t, chain, netlab.L4Proto(17), netlab.DstPort(port), netlab.Counter())
		s := begin(t, l.Client, "loss 10%", Config{Seed: 1}, "out udp dport 4000")
		for i := range n {
			l.send(t, number(i, 16))
		}
		c := await(t, s, There, "verdict for each packet", func(c Counters) bool { return c.Passed+c.Lost == uint64(n) })
		for deadline := time.Now().Add(patience); ; {
			arrived, _, err := seen.Count()
			labtest.Must(t, err)
			if arrived == c.Passed {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d arrived, %d passed", arrived, c.Passed)
			}
		}
		wantShare(t, "lost", int(c.Lost), n, loss)
	})
}

// TestRateAccuracy: what arrives is what the link lets through.
func TestRateAccuracy(t *testing.T) {
	if testing.Short() {
		t.Skip("measuring takes long")
	}
	both(t, func(t *testing.T, l *link) {
		l.arrivals(t)
		labtest.Must(t, l.server.SetReadBuffer(1<<20))
		const rate, n, length = 20e6, 150, 1000 // as many as the smallest receive buffer takes
		header := 28
		if l.to.Addr().Is6() {
			header = 48
		}
		begin(t, l.Client, "rate 20mbit overhead 38", Config{}, "out udp dport 4000")
		best := math.Inf(1)
		for attempt := 0; attempt < attempts && math.Abs(best) > 0.02; attempt++ {
			go func() {
				for i := range n {
					_, _ = l.client.Write(number(i, length))
				}
			}()
			var arrived [n]time.Time
			labtest.Must(t, l.receiveTimes(arrived[:]))
			got := float64((n-1)*(length+header+38)*8) / arrived[n-1].Sub(arrived[0]).Seconds()
			if off := got/rate - 1; math.Abs(off) < math.Abs(best) {
				best = off
			}
		}
		t.Logf("the rate is off by %.3f%%", best*100)
		if math.Abs(best) > 0.02 {
			t.Errorf("the rate is off by %s%%", strconv.FormatFloat(best*100, 'f', 2, 64))
		}
	})
}
