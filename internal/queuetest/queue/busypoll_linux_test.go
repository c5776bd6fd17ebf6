// SPDX-License-Identifier: GPL-2.0-or-later

package queue_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
)

// polling is a served queue that polls because packets come one after another.
type polling struct {
	queuelab.VerdictLab
	q      *nfqueue.Queue
	served chan error
	number int
}

// startPolling serves a queue that polls for as long as it may.
func startPolling(t *testing.T, serve func(*nfqueue.Queue) error) *polling {
	t.Helper()
	// One processor is always left to other goroutines, so one alone does not poll.
	procs := runtime.GOMAXPROCS(4)
	t.Cleanup(func() { runtime.GOMAXPROCS(procs) })
	p := &polling{VerdictLab: queuelab.NewVerdictLab(t, netlab.IP, queuelab.Localhost)}
	queuelab.QueueUDP(t, p.Queueing, netlab.Queue{Num: 1})
	p.q = queuelab.Open(t, p.Host, nfqueue.Config{Queue: 1, BusyPoll: nfqueue.MaxBusyPoll})
	p.served = make(chan error, 1)
	go func() { p.served <- serve(p.q) }()
	for deadline := time.Now().Add(queuelab.Patience); p.q.Stats().BusyPolled < 10*nfqueue.MaxBusyPoll; {
		if time.Now().After(deadline) {
			t.Fatalf("the queue does not poll: %+v", p.q.Stats())
		}
		p.exchange(t)
	}
	return p
}

// exchange sends a datagram through the queue and waits until it arrives.
func (p *polling) exchange(t *testing.T) {
	t.Helper()
	p.number++
	text := fmt.Sprint(p.number)
	p.In(text)
	p.Out(t, text)
}

var acceptAll = nfqueue.HandlerFunc(func(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Accept })

func serveAll(q *nfqueue.Queue) error { return q.Serve(context.Background(), acceptAll) }

// TestBusyPollEnds ends a queue right after a packet, while it polls for the next one.
func TestBusyPollEnds(t *testing.T) {
	for _, test := range []struct {
		name  string
		serve func(*nfqueue.Queue) error
		end   func(*nfqueue.Queue) error
		want  error
	}{
		{"close", serveAll, (*nfqueue.Queue).Close, nfqueue.ErrClosed},
		{"shutdown", serveAll, func(q *nfqueue.Queue) error { return q.Shutdown(context.Background()) },
			nil},
		{"shutdown of flows", func(q *nfqueue.Queue) error {
			return q.ServeFlows(context.Background(), 2, func(int) nfqueue.Handler { return acceptAll })
		}, func(q *nfqueue.Queue) error { return q.Shutdown(context.Background()) }, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := startPolling(t, test.serve)
			if err := test.end(p.q); err != nil {
				t.Error(err)
			}
			if err := queuelab.WaitFor(t, p.served); !errors.Is(err, test.want) {
				t.Errorf("Serve returned %v, want %v", err, test.want)
			}
			if queuelab.Settled(t, p.q) != uint64(p.number) {
				t.Errorf("decided %d packets of %d", p.q.Stats().Verdicts(), p.number)
			}
		})
	}
}

func TestBusyPollContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	p := startPolling(t, func(q *nfqueue.Queue) error { return q.Serve(ctx, acceptAll) })
	cancel()
	if err := queuelab.WaitFor(t, p.served); err != nil {
		t.Errorf("Serve returned %v, want nil", err)
	}
}

func TestBusyPollLiveChanges(t *testing.T) {
	p := startPolling(t, serveAll)
	for i := range uint32(100) {
		if err := p.q.SetMaxLen(1000 + i); err != nil {
			t.Fatal(err)
		}
		p.exchange(t)
	}
	queuelab.Stop(t, p.q)
	if err := queuelab.WaitFor(t, p.served); err != nil {
		t.Error(err)
	}
}

// TestBusyPollIdle: a queue without packets polls once at the most.
func TestBusyPollIdle(t *testing.T) {
	p := startPolling(t, serveAll)
	before := p.q.Stats().BusyPolled
	const idle = 200 * nfqueue.MaxBusyPoll
	time.Sleep(idle) // nothing comes
	// A busy machine may keep the queue from ending its one poll in time.
	if polled := p.q.Stats().BusyPolled - before; polled > idle/2 {
		t.Errorf("polled for %v of %v without packets", polled, idle)
	}
	queuelab.Stop(t, p.q)
	if err := queuelab.WaitFor(t, p.served); err != nil {
		t.Error(err)
	}
}
