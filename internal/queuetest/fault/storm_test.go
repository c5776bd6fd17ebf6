// SPDX-License-Identifier: GPL-2.0-or-later

package fault_test

import (
	"errors"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/kernel"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
)

// flood sends packets from another goroutine until the function that it returns is
// called, which waits for the last one.
func (k *faulty) flood() (stop func()) {
	quit, done := make(chan bool), make(chan bool)
	go func() {
		defer close(done)
		for {
			select {
			case <-quit:
				return
			default:
				k.send(8)
				runtime.Gosched()
			}
		}
	}()
	return func() {
		close(quit)
		<-done
	}
}

// someLost allows that packets were in a queue when it was closed.
func (k *faulty) someLost() {
	for _, f := range k.flights {
		f.Done()
	}
}

// until waits until a queue has reached a state.
func until(q *nfqueue.Queue, reached func(nfqueue.Stats) bool) nfqueue.Stats {
	for {
		s := q.Stats()
		if reached(s) {
			return s
		}
		runtime.Gosched()
	}
}

// handled waits until handlers have seen more packets of a queue than so far.
func handled(q *nfqueue.Queue, more uint64) {
	done := func(s nfqueue.Stats) uint64 { return s.Received - s.Undecided() }
	from := done(q.Stats())
	until(q, func(s nfqueue.Stats) bool { return done(s) >= from+more })
}

// The kernel flushes its queues while packets flow, as when chains are removed.
func TestFaultFlushUnderLoad(t *testing.T) {
	k := newFaulty(t)
	q := k.open(nfqueue.Config{})
	s := queuelab.StartServing(q, queuelab.Marked)
	stop := k.flood()
	for range 20 {
		handled(q, 100)
		k.Flush()
	}
	handled(q, 100)
	stop()
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}

// CAP_NET_ADMIN is taken away and given back while packets flow.
func TestFaultCapabilityUnderLoad(t *testing.T) {
	k := newFaulty(t)
	q := k.open(nfqueue.Config{MaxLen: 1 << 16})
	s := queuelab.StartServing(q, queuelab.Marked)
	stop := k.flood()
	for range 10 {
		handled(q, 100)
		refused := q.Stats().Refused
		k.SetPrivileged(false)
		until(q, func(s nfqueue.Stats) bool { return s.Refused > refused })
		k.SetPrivileged(true)
	}
	handled(q, 100)
	stop()
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	k.someLost()
}

// The kernel is sometimes out of memory while packets flow, for sending and for receiving.
func TestFaultMemoryUnderLoad(t *testing.T) {
	k := newFaulty(t)
	q := k.open(nfqueue.Config{Fallback: nfqueue.Accept})
	s := queuelab.StartServing(q, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		if p.ID()%3 == 0 {
			p.SetPayload(append(p.Payload(), 1))
		}
		return nfqueue.Accept
	}))
	stop := k.flood()
	for i := range 50 {
		handled(q, 50)
		for range i % 15 {
			k.FailSend(0, noBuffers)
		}
		if i%3 == 0 {
			k.FailReceive(0, kernel.Error(kernel.ENOMEM))
			k.Overrun(0, 2)
		}
	}
	stop()
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	if got := q.Stats(); got.ReceiveErrors == 0 || got.Lost == 0 {
		t.Errorf("%+v", got)
	}
	k.someLost()
}

// A queue is opened, served and ended again and again while packets flow.
func TestFaultOpenCloseCycles(t *testing.T) {
	k := newFaulty(t)
	stop := k.flood()
	for i := range 100 {
		q := k.open(nfqueue.Config{})
		d := queuelab.DeferIf(func(id uint32) bool { return id%10 == 0 })
		s := queuelab.StartServing(q, d)
		handled(q, 20)
		var err error
		switch i % 4 {
		case 0:
			q.Close()
			if err = <-s.Result; errors.Is(err, nfqueue.ErrClosed) {
				err = nil
			}
		case 1:
			go func() {
				for h := range d.Held {
					h.Resolve(nfqueue.Accept)
				}
			}()
			err = s.Stop()
		case 2:
			resolved := make(chan error, 1)
			go func() { resolved <- (<-d.Held).Resolve(nfqueue.Drop) }()
			q.Close()
			<-s.Result
			if e := <-resolved; e != nil && !errors.Is(e, nfqueue.ErrClosed) {
				t.Error(e)
			}
		case 3:
			err = q.Close()
			<-s.Result
		}
		if err != nil {
			t.Error(err)
		}
		close(d.Held)
		queuelab.Settled(t, q)
	}
	stop()
	k.someLost()
}

// After a queue is closed its verdicts decide nothing in the queue that another socket binds under
// its number, although that has packets with the same ids.
func TestFaultQueueStolenAfterClose(t *testing.T) {
	k := newFaulty(t)
	first := k.open(nfqueue.Config{})
	if _, err := k.Open(nfqueue.Config{}); !errors.Is(err, nfqueue.ErrQueueInUse) {
		t.Errorf("second Open: %v", err)
	}
	d := queuelab.DeferIf(every)
	s := queuelab.StartServing(first, d)
	lost := k.send(1)[0]
	held := <-d.Held
	first.Close()
	<-s.Result
	lost.Result()

	second := k.open(nfqueue.Config{})
	f := k.send(1)[0]
	if err := held.Resolve(nfqueue.Drop); !errors.Is(err, nfqueue.ErrClosed) {
		t.Errorf("Resolve: %v", err)
	}
	for what, err := range map[string]error{
		"SetMaxLen": first.SetMaxLen(1),
		"Shutdown":  first.Shutdown(t.Context()),
		"Serve":     first.Serve(t.Context(), queuelab.Always(nfqueue.Drop)),
	} {
		if !errors.Is(err, nfqueue.ErrClosed) {
			t.Errorf("%s: %v", what, err)
		}
	}
	wantWaiting(t, f)
	s = queuelab.StartServing(second, queuelab.Always(nfqueue.Accept))
	wantVerdict(t, f, nfqueue.Accept)
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}

// All holders resolve at once, some twice, while packets flow and the queue ends.
func TestFaultResolveStorm(t *testing.T) {
	k := newFaulty(t)
	q := k.open(nfqueue.Config{Fallback: nfqueue.Accept})
	d := queuelab.DeferIf(func(id uint32) bool { return id%4 != 0 })
	s := queuelab.StartServing(q, d)
	var storm sync.WaitGroup
	for range 32 {
		storm.Go(func() {
			for h := range d.Held {
				var twice sync.WaitGroup
				var results [2]error
				for i := range results {
					twice.Go(func() { results[i] = h.Resolve(verdictFor(h.Packet().ID())) })
				}
				twice.Wait()
				if (results[0] == nil) == (results[1] == nil) {
					t.Errorf("resolved twice: %v, %v", results[0], results[1])
				}
			}
		})
	}
	stop := k.flood()
	handled(q, 5000)
	stop()
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	close(d.Held)
	storm.Wait()
	if got := q.Stats(); got.Deferred == 0 || got.TooLate+got.Refused+got.Unsent+got.Abandoned != 0 {
		t.Errorf("%+v", got)
	}
}

// Time jumps ahead, as after the machine was suspended: packets with a deadline expire once, others
// do not, and the queue goes on.
func TestFaultClockJumps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFaulty(t)
		var log queuelab.Log
		q := k.open(nfqueue.Config{Fallback: nfqueue.Accept, Logger: log.Logger()})
		var forever []*nfqueue.Held
		s := queuelab.StartServing(q, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
			switch p.ID() % 4 {
			case 0:
				p.DeferTimeout(time.Duration(p.ID()) * time.Second)
			case 1:
				forever = append(forever, p.Defer())
			case 2:
				return nfqueue.Drop
			case 3:
				time.Sleep(time.Hour)
				return 2 // and is logged
			}
			return nfqueue.Deferred
		}))
		const rounds = 5
		for range rounds {
			flights := k.send(4)
			synctest.Wait()
			wantWaiting(t, flights[0])
			for i, want := range []nfqueue.Verdict{nfqueue.Drop, nfqueue.Accept, nfqueue.Accept} {
				<-flights[1+i].Done() // in an hour
				wantVerdict(t, flights[1+i], want)
			}
		}
		if lines := log.Take(); len(lines) != rounds {
			t.Errorf("log %q", lines)
		}
		if got := q.Stats(); got.Fallback.Expired != rounds || got.Held != rounds {
			t.Errorf("%+v", got)
		}
		for _, h := range forever {
			if err := h.Resolve(nfqueue.Accept); err != nil {
				t.Error(err)
			}
		}
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
}

// No datagram is larger than the socket can send, while packets flow.
func TestFaultPayloadsTooLongUnderLoad(t *testing.T) {
	k := newFaulty(t)
	k.SetMaxSend(2000)
	q := k.open(nfqueue.Config{Fallback: nfqueue.Accept})
	s := queuelab.StartServing(q, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		if p.ID()%5 == 0 {
			p.SetPayload(append(p.Payload(), make([]byte, 100*(p.ID()%100))...))
		}
		return nfqueue.Drop + nfqueue.Verdict(p.ID()%2)
	}))
	stop := k.flood()
	handled(q, 2000)
	stop()
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	if got := q.Stats(); got.Fallback.Send == 0 || got.Unsent != 0 {
		t.Errorf("%+v", got)
	}
	if f := k.flights[0].Result(); f.Cause != nfqueuetest.Decided {
		t.Error(f.Cause)
	}
}
