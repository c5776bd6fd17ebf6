// SPDX-License-Identifier: GPL-2.0-or-later

package transport

import (
	"slices"
	"testing"
	"time"
)

// pollLab is a BusyPoll on two processors whose clock stands still unless the test moves it.
type pollLab struct {
	*BusyPoll
	clock time.Duration
	procs int
}

func newPollLab(limit time.Duration) *pollLab {
	l := &pollLab{procs: 2}
	l.BusyPoll = NewBusyPoll(limit, func() time.Duration { return l.clock })
	l.BusyPoll.procs = func() int { return l.procs }
	return l
}

// wait has a packet come after d, and reports how long was polled for it.
func (l *pollLab) wait(d time.Duration) (polled time.Duration) {
	arrival := l.clock + d
	if l.Wait() {
		from := l.clock
		for l.Again() && l.clock < arrival {
			l.clock += time.Microsecond
		}
		polled = l.clock - from
		l.Stop()
	}
	l.clock = max(l.clock, arrival)
	l.Received()
	return polled
}

const us = time.Microsecond

// near has a packet come after d often enough for the window to be as wide as it gets.
func (l *pollLab) near(d time.Duration) {
	for range 10 {
		l.wait(d)
	}
}

func TestBusyPollWindow(t *testing.T) {
	l := newPollLab(50 * us)
	if polled := l.wait(20 * us); polled != 0 {
		t.Errorf("the first wait polled for %v, want 0: nothing says that packets come soon", polled)
	}
	for range 4 {
		l.wait(80 * us)
	}
	if polled := l.wait(30 * us); polled != 30*us {
		t.Errorf("polled for %v, want 30us, until the packet came", polled)
	}
	if polled := l.wait(time.Hour); polled != 50*us {
		t.Errorf("polled for %v, want the limit of 50us", polled)
	}
	if polled := l.wait(time.Hour); polled != 0 {
		t.Errorf("polled for %v after a packet that came late, want 0", polled)
	}
}

func TestBusyPollOff(t *testing.T) {
	l := newPollLab(0)
	l.near(us)
	if polled := l.wait(us); polled != 0 || l.Spent() != 0 {
		t.Errorf("polled for %v, in all %v; want 0", polled, l.Spent())
	}
}

func TestBusyPollLeavesAProcessor(t *testing.T) {
	first, second := newPollLab(50*us), newPollLab(50*us)
	first.near(10 * us)
	second.near(10 * us)
	if !first.Wait() {
		t.Fatal("the first queue does not poll")
	}
	if second.Wait() {
		t.Error("two queues poll on two processors, want one")
	}
	first.Stop()
	if !second.Wait() {
		t.Error("the second queue does not poll after the first has stopped")
	}
	second.Stop()
	second.procs = 1
	if second.Wait() {
		t.Error("polls with one processor")
	}
}

func TestBusyPollShare(t *testing.T) {
	long := append(slices.Repeat([]time.Duration{990 * us}, 10), 100*us)
	for _, waits := range [][]time.Duration{{50 * us}, long} {
		l := newPollLab(1000 * us)
		l.near(40 * us)
		l.near(40 * us)
		l.clock += pollPeriod // the first of waits begins a period
		before, from := l.Spent(), l.clock
		for l.clock-from < time.Second {
			for _, wait := range waits {
				l.wait(wait) // polled all the time
			}
		}
		spent, passed := l.Spent()-before, l.clock-from
		if spent > passed*(pollShare+1)/100 || spent < passed*(pollShare-5)/100 {
			t.Errorf("waits of %v: polled for %v of %v, want %d %%", waits, spent, passed, pollShare)
		}
	}
}

// TestBusyPollInVain has packets come a little later than the limit, again and again.
func TestBusyPollInVain(t *testing.T) {
	l := newPollLab(50 * us)
	const waits = 1000
	from := l.clock
	for range waits {
		l.wait(100 * us)
	}
	if share := 100 * l.Spent() / (l.clock - from); share > 5 {
		t.Errorf("polled %d %% of the time in vain, want at most 5", share)
	}
	before := l.Spent()
	for range 2 * (restWaits + 10) {
		l.wait(30 * us)
	}
	if l.Spent() == before {
		t.Error("does not poll when packets come sooner again")
	}
}
