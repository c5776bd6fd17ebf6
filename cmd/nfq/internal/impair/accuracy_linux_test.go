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

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/impair/line"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"golang.org/x/sys/unix"
)

// attempts is how often an accuracy is measured, shortly: what else the machine does only makes it
// worse.
const attempts = 100

// TestDelayAccuracy: packets arrive no sooner than the delay says, half of them within 200
// microseconds more, and 99 of 100 too, but for how late two threads wake here and now: the one
// that reads the queue and the one that lets packets go.
func TestDelayAccuracy(t *testing.T) {
	if testing.Short() {
		t.Skip("measuring takes long")
	}
	const delay = 5 * time.Millisecond
	within := 200 * time.Microsecond
	if raceDetector {
		within *= 10
	}
	for name, six := range map[string]bool{"IPv4": false, "IPv6": true} {
		t.Run(name, func(t *testing.T) {
			l := udpLink(t, labtest.Routed(t), six)
			l.arrivals(t)
			// The kernel notes an arrival before the hooks of the host; so there is one behind
			// those.
			for _, side := range []struct {
				host *netlab.Host
				rule string
			}{{l.Client, "out udp dport 4000"}, {l.Middle, "forward udp dport 4000"}} {
				s := begin(t, side.host, "delay "+delay.String(), Config{}, side.rule)
				var half, most, limit time.Duration
				for attempt := 0; attempt == 0 || attempt < attempts &&
					(half > within || most > limit); attempt++ {
					over, naps := l.delays(t, delay)
					if early := quantile(over, 0); early < 0 {
						t.Fatalf("%s: a packet arrived %v too early", side.rule, -early)
					}
					half, most = quantile(over, 50), quantile(over, 99)
					limit = within + 2*quantile(naps, 99)
				}
				t.Logf("%s: half within %v and 99%% within %v of the delay", side.rule, half, most)
				if half > within || most > limit {
					t.Errorf("%s: want %v and %v", side.rule, within, limit)
				}
				labtest.Must(t, s.end())
			}
		})
	}
}

// TestDelayFromArrival: a delay begins when the packet arrives, and not when the program gets to
// see it.
func TestDelayFromArrival(t *testing.T) {
	const delay, seen = 5 * time.Millisecond, time.Millisecond
	l := udpLink(t, labtest.Routed(t), false)
	l.arrivals(t)
	cfg := Config{NetNS: l.Middle.FD(), Settings: [2]Settings{There: {Delay: delay}}}
	cfg.Rules[There] = parse(t, "forward udp dport 4000")
	serve(t, cfg, func(s *Session) nfqueue.Handler {
		return nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
			for began := clock(); clock() < began+seen; {
			}
			return s.ServePacket(p)
		})
	})
	best := time.Duration(math.MaxInt64)
	for attempt := 0; attempt < attempts && best >= seen; attempt++ {
		sent := time.Now().Round(0)
		l.send(t, []byte("datagram"))
		var arrived [1]time.Time
		labtest.Must(t, l.receiveTimes(arrived[:]))
		best = min(best, arrived[0].Sub(sent)-delay)
	}
	if best < 0 || best >= seen {
		t.Errorf("seen %v after its arrival, a packet is %v late at best", seen, best)
	}
}

// quantile returns a percentile.
func quantile(all []time.Duration, percent int) time.Duration {
	slices.Sort(all)
	return all[(len(all)-1)*percent/100]
}

// delays sends datagrams and returns how much longer than the delay each took, and how much longer
// than it was to sleep a thread did meanwhile.
func (l *link) delays(t *testing.T, delay time.Duration) (over, naps []time.Duration) {
	const n, pace = 100, 300 * time.Microsecond
	labtest.Must(t, l.client.SetDeadline(time.Now().Add(patience)))
	slept, enough := make(chan []time.Duration), make(chan struct{})
	go func() { slept <- lateNaps(enough) }()
	wrote := make(chan error, 1)
	var sent, arrived [n]time.Time
	go func() {
		runtime.LockOSThread() // which ends with it
		line.SharpenTimers()   // so that nothing comes between the time and the packet
		var err error
		for i := range sent {
			time.Sleep(pace)
			sent[i] = time.Now().Round(0)
			_, e := l.client.Write(number(i, 64))
			err = errors.Join(err, e)
		}
		wrote <- err
	}()
	err := errors.Join(<-wrote, l.receiveTimes(arrived[:]))
	close(enough)
	naps = <-slept
	labtest.Must(t, err)
	for i := range sent {
		over = append(over, arrived[i].Sub(sent[i])-delay)
	}
	return over, naps
}

// lateNaps has a thread like others sleep again and again, and returns how late it woke each time.
func lateNaps(enough <-chan struct{}) (late []time.Duration) {
	const nap = 300 * time.Microsecond
	defer line.KeepThread()()
	runtime.LockOSThread() // which ends with it
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	for {
		began := clock()
		d := unix.NsecToTimespec(int64(nap))
		if _, err := unix.Ppoll(nil, &d, nil); err == nil {
			late = append(late, clock()-began-nap)
		}
		select {
		case <-enough:
			return late
		default:
		}
	}
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
		c := await(t, s, There, "verdict for each packet",
			func(c Counters) bool { return c.Passed+c.Lost == uint64(n) })
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
