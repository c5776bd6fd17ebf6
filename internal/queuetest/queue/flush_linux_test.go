// SPDX-License-Identifier: GPL-2.0-or-later

package queue_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
)

// queued fills a queue with numbered datagrams before it is served.
func queued(t *testing.T, lab queuelab.VerdictLab, n int, cfg nfqueue.Config) *nfqueue.Queue {
	t.Helper()
	queuelab.QueueUDP(t, lab.Queueing, netlab.Queue{Num: cfg.Queue})
	q := queuelab.Open(t, lab.Host, cfg)
	for i := range n {
		lab.In(fmt.Sprint(i))
	}
	return q
}

// TestVerdictsLeaveSlowHandlers: while a slow handler runs, the packets of all earlier verdicts
// arrive.
func TestVerdictsLeaveSlowHandlers(t *testing.T) {
	lab := queuelab.NewVerdictLab(t, netlab.IP, queuelab.Localhost)
	q := queued(t, lab, 64, nfqueue.Config{Queue: 1})
	done := make(chan bool)
	queuelab.ServeOpen(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		time.Sleep(time.Millisecond) // the work of the handler
		if p.ID() > 1 {
			lab.Out(t, fmt.Sprint(p.ID()-2))
		}
		if p.ID() == 64 {
			close(done)
		}
		return nfqueue.Accept
	})
	queuelab.WaitFor(t, done)
	lab.Out(t, "63")
}

// TestVerdictsLeaveBlockedHandler: when a handler suddenly blocks, all earlier verdicts are sent.
func TestVerdictsLeaveBlockedHandler(t *testing.T) {
	lab := queuelab.NewVerdictLab(t, netlab.IP, queuelab.Localhost)
	q := queued(t, lab, 64, nfqueue.Config{Queue: 1})
	done := make(chan bool)
	queuelab.ServeOpen(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		if p.ID() == 50 {
			for i := range 49 {
				lab.Out(t, fmt.Sprint(i)) // blocks until it has arrived
			}
			close(done)
		}
		return nfqueue.Accept
	})
	queuelab.WaitFor(t, done)
	for i := 49; i < 64; i++ {
		lab.Out(t, fmt.Sprint(i))
	}
}

// TestHeld resolves packets out of order, from other goroutines, with an edit, and
// lets one expire.
func TestHeld(t *testing.T) {
	labtest.NeedReplace(t)
	lab := queuelab.NewVerdictLab(t, netlab.IP, queuelab.Localhost)
	q := queued(t, lab, 4, nfqueue.Config{Queue: 1})
	held := make(chan *nfqueue.Held, 4)
	queuelab.ServeOpen(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		switch queuelab.Text(p) {
		case "0", "3":
			held <- p.Defer()
		case "1":
			p.DeferTimeout(time.Millisecond) // expires; the Fallback drops it
		case "2", "last":
			return nfqueue.Accept
		}
		return nfqueue.Deferred
	})
	lab.Out(t, "2")
	first, third := queuelab.WaitFor(t, held), queuelab.WaitFor(t, held)
	errs := make(chan error)
	go func() { errs <- third.Resolve(nfqueue.Accept) }()
	if err := queuelab.WaitFor(t, errs); err != nil {
		t.Error(err)
	}
	lab.Out(t, "3")
	p := first.Packet()
	if err := p.SetPayload(append(p.Payload(), " edited"...)); err != nil {
		t.Error(err)
	}
	go func() { errs <- first.Resolve(nfqueue.Accept) }()
	if err := queuelab.WaitFor(t, errs); err != nil {
		t.Error(err)
	}
	lab.Out(t, "0 edited")
	if err := first.Resolve(nfqueue.Drop); !errors.Is(err, nfqueue.ErrResolved) {
		t.Errorf("resolved twice: %v", err)
	}
	for q.Stats().Fallback.Expired == 0 {
		time.Sleep(time.Millisecond) // nothing else tells of it
	}
	lab.In("last")
	lab.Out(t, "last")
	if s := q.Stats(); s.Deferred != 3 || s.Held != 0 || s.Dropped != 1 {
		t.Errorf("%+v", s)
	}
}

// TestShutdownWaitsForHeld: Shutdown waits for held packets, and gives those that are left the
// Fallback when its time ends.
func TestShutdownWaitsForHeld(t *testing.T) {
	lab := queuelab.NewVerdictLab(t, netlab.IP, queuelab.Localhost)
	q := queued(t, lab, 2, nfqueue.Config{Queue: 1, Fallback: nfqueue.Accept})
	held := make(chan *nfqueue.Held, 2)
	served := make(chan error, 1)
	go func() {
		served <- q.Serve(context.Background(), nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
			held <- p.Defer()
			return nfqueue.Deferred
		}))
	}()
	first, second := queuelab.WaitFor(t, held), queuelab.WaitFor(t, held)
	ctx, cancel := context.WithCancel(context.Background())
	down := make(chan error, 1)
	go func() { down <- q.Shutdown(ctx) }()
	if err := first.Resolve(nfqueue.Drop); err != nil {
		t.Error(err)
	}
	cancel()
	for _, c := range []chan error{down, served} {
		if err := queuelab.WaitFor(t, c); err != nil {
			t.Error(err)
		}
	}
	lab.Out(t, "1")
	if err := second.Resolve(nfqueue.Accept); !errors.Is(err, nfqueue.ErrResolved) {
		t.Errorf("resolved after Shutdown: %v", err)
	}
}

// TestHandlerPanic: the packet gets the Fallback, earlier verdicts are sent, and Serve can be
// called again for the rest.
func TestHandlerPanic(t *testing.T) {
	lab := queuelab.NewVerdictLab(t, netlab.IP, queuelab.Localhost)
	q := queued(t, lab, 10, nfqueue.Config{Queue: 1})
	err := q.Serve(context.Background(), nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		if p.ID() == 5 {
			panic("on purpose")
		}
		return nfqueue.Accept
	}))
	var p *nfqueue.PanicError
	if !errors.As(err, &p) || p.Value != "on purpose" || len(p.Stack) == 0 {
		t.Fatalf("Serve: %v", err)
	}
	lab.Out(t, "0", "1", "2", "3")
	queuelab.ServeOpen(t, q, func(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Accept })
	lab.Out(t, "5", "6", "7", "8", "9")
	if s := q.Stats(); s.Fallback.Panic != 1 || s.Dropped != 1 || s.Received != 10 {
		t.Errorf("%+v", s)
	}
}

// TestCloseInHandler ends Serve with ErrClosed.
func TestCloseInHandler(t *testing.T) {
	lab := queuelab.NewVerdictLab(t, netlab.IP, queuelab.Localhost)
	q := queued(t, lab, 1, nfqueue.Config{Queue: 1})
	err := q.Serve(context.Background(), nfqueue.HandlerFunc(func(*nfqueue.Packet) nfqueue.Verdict {
		if err := q.Close(); err != nil {
			t.Error(err)
		}
		return nfqueue.Accept
	}))
	wantOpError(t, err, 1, nfqueue.ErrClosed, "serve")
	if err := q.Close(); err != nil {
		t.Error(err)
	}
}
