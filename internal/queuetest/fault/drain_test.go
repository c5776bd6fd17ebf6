// SPDX-License-Identifier: GPL-2.0-or-later

package fault_test

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/bridge"
	"github.com/chifflier/nfqueue-go/internal/fakekernel"
	"github.com/chifflier/nfqueue-go/internal/kernel"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
)

// While the kernel has no memory for receiving, a drain takes no longer than the time limit for
// handlers. It loses nothing if there is memory again by then.
func TestFaultDrainWithoutMemory(t *testing.T) {
	for name, end := range map[string]func(q *nfqueue.Queue, limit time.Duration) error{
		"Shutdown": func(q *nfqueue.Queue, limit time.Duration) error {
			ctx, cancel := context.WithTimeout(context.Background(), limit)
			defer cancel()
			return q.Shutdown(ctx)
		},
		"Serve": func(q *nfqueue.Queue, limit time.Duration) error {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			return q.Serve(ctx, queuelab.Always(nfqueue.Accept))
		},
	} {
		for _, c := range []struct {
			name     string
			failures int
			decided  bool
		}{
			{"for a while", 60, true}, // of ten milliseconds
			{"for ever", 10_000, false},
		} {
			t.Run(name+" "+c.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					const limit = time.Second
					k := newFaulty(t)
					q := k.open(nfqueue.Config{DrainTimeout: limit, Fallback: nfqueue.Accept})
					f := k.send(1)[0]
					for range c.failures {
						k.FailReceive(0, noBuffers)
					}
					began := time.Now()
					err := end(q, limit)
					if took := time.Since(began); took > 2*limit || (err == nil) != c.decided {
						t.Errorf("%v after %v", err, took)
					}
					if r := f.Result(); (r.Cause == nfqueuetest.Decided) != c.decided {
						t.Errorf("%v", r.Cause)
					}
				})
			})
		}
	}
}

// stalling is a socket whose process loses the processor once, after it has set the read deadline.
type stalling struct {
	sharedConn
	stall *atomic.Bool
}

func (s stalling) SetReadDeadline(t time.Time) error {
	if t.After(time.Now()) && s.stall.Swap(false) {
		time.Sleep(time.Until(t) + time.Millisecond)
	}
	return s.sharedConn.SetReadDeadline(t)
}

func TestFaultDrainStalls(t *testing.T) {
	for name, handed := range map[string]bool{"own": false, "after File": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := fakekernel.New()
				conn := stalling{sharedConn{k.Dial()}, new(atomic.Bool)}
				opened, err := bridge.OpenOver(conn, nfqueue.Config{Fallback: nfqueue.Accept})
				if err != nil {
					t.Fatal(err)
				}
				q := opened.(*nfqueue.Queue)
				if handed {
					f, err := q.File()
					if err != nil {
						t.Fatal(err)
					}
					f.Close()
				}
				flights := sendSmall(k, 10)
				conn.stall.Store(true)
				if err := q.Shutdown(context.Background()); err != nil {
					t.Error(err)
				}
				for i, f := range flights {
					<-f.Done()
					if !f.Outcome().Passed {
						t.Errorf("packet %d is lost: %v", i+1, f.Outcome().Cause)
					}
				}
				queuelab.Settled(t, q)
			})
		})
	}
}

// A handler that panics while the queue is drained does not keep the queue from reading what the
// kernel says of the last verdicts.
func TestFaultPanicWhileDrainingCountsRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFaulty(t)
		q := k.open(nfqueue.Config{})
		flights := k.send(1)
		k.RefuseVerdict(0, kernel.Error(kernel.EPERM))
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		err := q.Serve(ctx, nfqueue.HandlerFunc(func(*nfqueue.Packet) nfqueue.Verdict {
			panic("while draining")
		}))
		if p := new(nfqueue.PanicError); !errors.As(err, &p) {
			t.Errorf("Serve: %v", err)
		}
		<-flights[0].Done()
		flights[0].Result()
		if n := q.Stats().Refused; n != 1 {
			t.Errorf("%d refused verdicts, want 1", n)
		}
	})
}

// If a callback interrupts a drain, the packets that are left get the Fallback.
func TestFaultDrainBrokenOff(t *testing.T) {
	for name, cfg := range map[string]nfqueue.Config{
		"handler":   {},
		"OnPanic":   {OnPanic: func(*nfqueue.PanicError) { runtime.Goexit() }},
		"OnRefused": {OnRefused: func(*nfqueue.VerdictError) { panic("mine") }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newFaulty(t)
				cfg.Batch, cfg.Fallback = 1, nfqueue.Accept
				q := k.open(cfg)
				flights := k.send(5)
				if name == "OnRefused" {
					k.RefuseVerdict(0, kernel.Error(kernel.EPERM))
				}
				ctx, cancel := context.WithCancel(context.Background())
				cancel()
				gone := make(chan any)
				go func() {
					defer func() { gone <- recover() }()
					err := q.Serve(ctx, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
						switch {
						case name == "handler" && p.ID() == 2:
							runtime.Goexit()
						case name == "OnPanic" && p.ID() == 2:
							panic("so that it is called")
						}
						return nfqueue.Drop
					}))
					t.Errorf("Serve has returned: %v", err)
				}()
				if v := <-gone; (v == "mine") != (name == "OnRefused") {
					t.Errorf("it panicked with %v", v)
				}
				for i, f := range flights {
					r := f.Result()
					if i >= 2 && (r.Cause != nfqueuetest.Decided || name != "OnRefused" &&
						r.Verdict != nfqueue.Accept) {
						t.Errorf("packet %d: %v, %v", i+1, r.Cause, r.Verdict)
					}
				}
				if err := q.Serve(context.Background(), queuelab.Always(nfqueue.Accept)); err == nil {
					t.Error("the queue is served again")
				}
			})
		})
	}
}
