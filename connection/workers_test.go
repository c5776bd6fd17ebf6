// SPDX-License-Identifier: GPL-2.0-or-later

package connection_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/connection"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
)

// workers serves a queue in memory with ServeFlows, each worker with a Tracker. The function that
// it returns ends that, and adds up what the Trackers have counted.
func workers(t *testing.T, cfg nfqueue.Config, conns connection.Config,
	h connection.HandlerFunc) (l *lab, end func() connection.Stats) {
	t.Helper()
	const n = 3
	var trackers [n]*connection.Tracker
	for i := range trackers {
		trackers[i] = connection.New(conns, h)
	}
	k := nfqueuetest.NewKernel(t)
	cfg.MaxLen = 4096
	q, err := k.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		served <- q.ServeFlows(ctx, n, func(i int) nfqueue.Handler { return trackers[i] })
	}()
	return &lab{t: t, k: k}, func() (sum connection.Stats) {
		t.Helper()
		cancel()
		if err := <-served; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		for _, tr := range trackers {
			sum = sum.Add(tr.Stats())
		}
		return sum
	}
}

// An ICMP error comes to the worker that has its connection, from either end and from a router.
func TestErrorsOfFlows(t *testing.T) {
	var news atomic.Int32
	l, end := workers(t, nfqueue.Config{}, connection.Config{Hold: true},
		func(c *connection.Conn) connection.Answer {
			if c.News() == connection.Unreachable {
				news.Add(1)
				return connection.Drop
			}
			return connection.More
		})
	const conns = 60
	for i := range conns {
		e := ends4.port(4000 + i)
		if i%2 == 1 {
			e = ends6.port(4000 + i)
		}
		l.open(e)
		held := l.send(e.data(0, "go"))
		l.dropped(e.icmpError(e.data(0, "go")))
		if held.Result().Passed {
			t.Error("passed")
		}
	}
	if s := end(); news.Load() != conns || s.Opened != conns || s.Dropped != conns || s.Other != 0 {
		t.Errorf("%d errors, %+v", news.Load(), s)
	}
}

// A handler that panics costs one connection the Fallback; those of the same worker go on.
func TestPanicsOfFlows(t *testing.T) {
	var panics atomic.Int32
	l, end := workers(t, nfqueue.Config{OnPanic: func(*nfqueue.PanicError) { panics.Add(1) }},
		connection.Config{Hold: true}, func(c *connection.Conn) connection.Answer {
			if strings.HasPrefix(string(c.Bytes(connection.Original)), "panic") {
				panic("of the handler")
			}
			return line(c)
		})
	const conns = 60
	var first, second [conns]*nfqueuetest.Flight
	for i := range conns {
		e := ends4.port(4000 + i)
		l.open(e)
		text := "good\n"
		if i%3 == 0 {
			text = "panic"
		}
		first[i] = l.send(e.data(0, text[:3]))
		second[i] = l.send(e.data(3, text[3:]))
	}
	for i := range conns {
		if good := i%3 != 0; first[i].Result().Passed != good || second[i].Result().Passed != good {
			t.Errorf("%d: passed %v and %v", i, first[i].Result().Passed, second[i].Result().Passed)
		}
	}
	if s := end(); s.Fallback.Panic != conns/3 || uint32(panics.Load()) != conns/3 ||
		s.Accepted != conns-conns/3 || s.Held != 0 {
		t.Errorf("%d panics, %+v", panics.Load(), s)
	}
}

// When the queue ends while connections are decided every packet gets one verdict: that of the
// handler, or the queue's Fallback.
func TestEndOfHeld(t *testing.T) {
	for range 10 {
		l, end := workers(t, nfqueue.Config{DrainTimeout: 50 * time.Millisecond}, connection.Config{Hold: true}, line)
		const conns = 30
		var flights []*nfqueuetest.Flight
		for i := range conns {
			e := ends4.port(4000 + i)
			l.open(e)
			flights = append(flights, l.send(e.data(0, "go")))
		}
		var all sync.WaitGroup
		last := make([]*nfqueuetest.Flight, conns)
		all.Go(func() {
			for i := range conns {
				last[i] = l.send(ends4.port(4000+i).data(2, "od\n"))
			}
		})
		s := end()
		all.Wait()
		passed := 0
		for i, f := range flights {
			if f.Result().Passed {
				passed++
			}
			_ = last[i].Result()
		}
		if uint64(passed) > s.Accepted || s.Opened != conns {
			t.Errorf("%d passed: %+v", passed, s)
		}
	}
}

// A Tracker that two queues share refuses to be called by both at a time.
func TestTrackerOfTwoQueues(t *testing.T) {
	e := ends4
	calls, more := make(chan struct{}), make(chan struct{})
	tr := connection.New(connection.Config{}, connection.HandlerFunc(
		func(*connection.Conn) connection.Answer {
			calls <- struct{}{}
			<-more
			return connection.Accept
		}))
	k := nfqueuetest.NewKernel(t)
	k.Serve(nfqueue.Config{}, tr)
	q, err := k.Open(nfqueue.Config{Queue: 1})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- q.Serve(context.Background(), tr) }()
	first := k.Send(0, nfqueuetest.Spec{Payload: e.tcp("S", isn, 0, "")})
	<-calls
	k.Send(1, nfqueuetest.Spec{Payload: e.port(1).tcp("S", isn, 0, "")})
	if err := <-served; err == nil || !strings.Contains(err.Error(), "one of its own") {
		t.Errorf("Serve returned %v", err)
	}
	more <- struct{}{}
	if r := first.Result(); !r.Passed {
		t.Errorf("%+v", r)
	}
}
