// SPDX-License-Identifier: GPL-2.0-or-later

package fault_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
)

// wantTimes fails the test unless a histogram has these durations and no others.
func wantTimes(t *testing.T, what string, h *nfqueue.Histogram, want ...time.Duration) {
	t.Helper()
	var expect nfqueue.Histogram
	for _, d := range want {
		i := 0
		for i < len(expect.Buckets)-1 && d > expect.Bound(i) {
			i++
		}
		expect.Buckets[i]++
		expect.Sum += d
	}
	if h == nil || *h != expect {
		t.Errorf("%s: %+v, want %+v", what, h, expect)
	}
}

// HandlerTime has each call, DecideTime the time from receiving a packet to its verdict, from any
// goroutine.
func TestFaultHistograms(t *testing.T) {
	const s = time.Second
	for name, serve := range queuelab.Servers {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newFaulty(t)
				q := k.open(nfqueue.Config{Histograms: true, OnPanic: func(*nfqueue.PanicError) {}})
				ended := make(chan error, 1)
				flights := k.sendFrom(4000, 6)
				go func() {
					ended <- serve(context.Background(), q, func(p *nfqueue.Packet) nfqueue.Verdict {
						time.Sleep(s)
						switch p.ID() {
						case 2: // decided by another goroutine, 10 s after its handler
							h := p.Defer()
							time.AfterFunc(10*s, func() { _ = h.Resolve(nfqueue.Accept) })
							return nfqueue.Deferred
						case 3: // by the end of its time
							p.DeferTimeout(20 * s)
							return nfqueue.Deferred
						case 4:
							panic("4")
						case 5: // by the handler after all
							p.Defer()
						}
						return nfqueue.Accept
					})
				}()
				for _, f := range flights {
					<-f.Done()
				}
				got := q.Stats()
				wantTimes(t, "handler", got.HandlerTime, s, s, s, s, s, s)
				wantTimes(t, "decided", got.DecideTime, s, 12*s, 23*s, 4*s, 5*s, 6*s)
				if err := q.Shutdown(context.Background()); err != nil {
					t.Error(err)
				}
				if err := <-ended; err != nil {
					t.Error(err)
				}
				if after := q.Stats(); *after.HandlerTime != *got.HandlerTime ||
					*after.DecideTime != *got.DecideTime {
					t.Errorf("after the end %+v, %+v", after.HandlerTime, after.DecideTime)
				}
			})
		})
	}
}

// A packet that waits for another Serve, after a panic, has been received before.
func TestFaultHistogramAcrossServes(t *testing.T) {
	const s = time.Second
	for name, serve := range queuelab.Servers {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newFaulty(t)
				q := k.open(nfqueue.Config{Histograms: true})
				k.sendFrom(4000, 3)
				for range 2 {
					if err := serve(context.Background(), q, func(p *nfqueue.Packet) nfqueue.Verdict {
						time.Sleep(s)
						panic("oops")
					}); err == nil {
						t.Error("no panic")
					}
					time.Sleep(10 * s)
				}
				got := q.Stats()
				wantTimes(t, "handler", got.HandlerTime, s, s)
				wantTimes(t, "decided", got.DecideTime, s, 12*s)
				ctx, cancel := context.WithCancel(context.Background())
				cancel()
				if err := q.Shutdown(ctx); err != nil {
					t.Error(err)
				}
				wantTimes(t, "decided", q.Stats().DecideTime, s, 12*s)
			})
		})
	}
}

// Without Config.Histograms there are none.
func TestFaultNoHistograms(t *testing.T) {
	k := newFaulty(t)
	q := k.open(nfqueue.Config{})
	if got := q.Stats(); got.HandlerTime != nil || got.DecideTime != nil {
		t.Errorf("%+v", got)
	}
}
