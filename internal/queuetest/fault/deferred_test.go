// SPDX-License-Identifier: GPL-2.0-or-later

package fault_test

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/fakekernel"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
)

func every(uint32) bool { return true }

func TestFaultVerdictAfterDefer(t *testing.T) {
	k := newFaulty(t)
	q := k.open(nfqueue.Config{})
	var held *nfqueue.Held
	s := queuelab.StartServing(q, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		held = p.Defer()
		return nfqueue.Accept
	}))
	f := k.Send(0, nfqueuetest.Spec{})
	wantVerdict(t, f, nfqueue.Accept)
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	if err := held.Resolve(nfqueue.Drop); !errors.Is(err, nfqueue.ErrResolved) {
		t.Errorf("Resolve: %v", err)
	}
	if got := q.Stats(); got.Held != 0 || got.Deferred != 1 || got.Accepted != 1 || got.Dropped != 0 {
		t.Errorf("%+v", got)
	}
}

func TestFaultVerdictAfterDeferAndResolve(t *testing.T) {
	k := newFaulty(t)
	q := k.open(nfqueue.Config{})
	s := queuelab.StartServing(q, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		if err := p.Defer().Resolve(nfqueue.Accept); err != nil {
			t.Error(err)
		}
		return nfqueue.Drop
	}))
	wantVerdict(t, k.Send(0, nfqueuetest.Spec{}), nfqueue.Accept)
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	if got := q.Stats(); got.AlreadyResolved != 1 || got.TooLate != 0 || got.Dropped != 0 {
		t.Errorf("%+v", got)
	}
}

func TestFaultInvalidVerdictAfterDefer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFaulty(t)
		q := k.open(nfqueue.Config{Fallback: nfqueue.Accept})
		s := queuelab.StartServing(q, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
			p.Defer()
			return 2
		}))
		f := k.Send(0, nfqueuetest.Spec{})
		wantVerdict(t, f, nfqueue.Accept)
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestFaultPanicAfterDefer(t *testing.T) {
	k := newFaulty(t)
	q := k.open(nfqueue.Config{Fallback: nfqueue.Accept})
	f := k.Send(0, nfqueuetest.Spec{})
	var held *nfqueue.Held
	err := q.Serve(t.Context(), nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		held = p.Defer()
		panic("after Defer")
	}))
	var p *nfqueue.PanicError
	if !errors.As(err, &p) {
		t.Errorf("Serve: %v", err)
	}
	wantVerdict(t, f, nfqueue.Accept)
	if err := held.Resolve(nfqueue.Drop); !errors.Is(err, nfqueue.ErrResolved) {
		t.Errorf("Resolve: %v", err)
	}
}

func TestFaultResolveTwice(t *testing.T) {
	k := newFaulty(t)
	q := k.open(nfqueue.Config{})
	d := queuelab.DeferIf(every)
	s := queuelab.StartServing(q, d)
	f := k.Send(0, nfqueuetest.Spec{})
	held := <-d.Held
	for _, c := range []struct {
		verdict nfqueue.Verdict
		want    error
	}{
		{nfqueue.Deferred, nfqueue.ErrInvalidVerdict},
		{nfqueue.Accept, nil},
		{nfqueue.Drop, nfqueue.ErrResolved},
	} {
		if err := held.Resolve(c.verdict); !errors.Is(err, c.want) {
			t.Errorf("Resolve(%v): %v, want %v", c.verdict, err, c.want)
		}
	}
	wantVerdict(t, f, nfqueue.Accept)
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}

func TestFaultResolveAfterClose(t *testing.T) {
	k := newFaulty(t)
	q := k.open(nfqueue.Config{})
	d := queuelab.DeferIf(every)
	s := queuelab.StartServing(q, d)
	f := k.Send(0, nfqueuetest.Spec{})
	held := <-d.Held
	q.Close()
	if err := held.Resolve(nfqueue.Accept); !errors.Is(err, nfqueue.ErrClosed) {
		t.Errorf("Resolve: %v", err)
	}
	if r := f.Result(); r.Cause != nfqueuetest.Closed {
		t.Errorf("%+v", r)
	}
	if err := <-s.Result; !errors.Is(err, nfqueue.ErrClosed) {
		t.Errorf("Serve: %v", err)
	}
}

// If a handler closes the queue and then defers its packet, nobody can resolve that.
func TestFaultNeverResolvedAfterClose(t *testing.T) {
	for name, serve := range queuelab.Servers {
		t.Run(name, func(t *testing.T) {
			k := newFaulty(t)
			q := k.open(nfqueue.Config{})
			f := k.Send(0, nfqueuetest.Spec{})
			if err := serve(t.Context(), q, func(p *nfqueue.Packet) nfqueue.Verdict {
				q.Close()
				p.DeferTimeout(time.Hour)
				return nfqueue.Deferred
			}); !errors.Is(err, nfqueue.ErrClosed) {
				t.Errorf("serving ended with %v", err)
			}
			if r := f.Result(); r.Cause != nfqueuetest.Closed {
				t.Errorf("%+v", r)
			}
			if got := q.Stats(); got.Held != 0 || got.Abandoned != 1 || got.Deferred != 1 {
				t.Errorf("%+v", got)
			}
		})
	}
}

// A packet can be decided once: a copy of the packet must not allow a second verdict.
func TestFaultDeferOfACopy(t *testing.T) {
	for name, second := range map[string]func(p *nfqueue.Packet) *nfqueue.Held{
		"Clone":       func(p *nfqueue.Packet) *nfqueue.Held { return p.Clone().Defer() },
		"Held.Packet": func(p *nfqueue.Packet) *nfqueue.Held { return p.Defer().Packet().Defer() },
	} {
		t.Run(name, func(t *testing.T) {
			k := newFaulty(t)
			q := k.open(nfqueue.Config{})
			s := queuelab.StartServing(q, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
				first := p.Defer()
				if h := deferOrPanic(second, p); h != nil && h != first {
					t.Error("a second Held for one packet")
					h.Resolve(nfqueue.Accept)
				}
				first.Resolve(nfqueue.Accept)
				return nfqueue.Deferred
			}))
			wantVerdict(t, k.Send(0, nfqueuetest.Spec{}), nfqueue.Accept)
			if err := s.Stop(); err != nil {
				t.Error(err)
			}
			if got := q.Stats(); got.TooLate != 0 {
				t.Errorf("%d verdicts for a packet that had one", got.TooLate)
			}
		})
	}
}

// deferOrPanic returns nil if fn panics, as Defer does outside of the handler.
func deferOrPanic(fn func(*nfqueue.Packet) *nfqueue.Held, p *nfqueue.Packet) (h *nfqueue.Held) {
	defer func() { _ = recover() }()
	return fn(p)
}

// A verdict of Resolve that is added while another goroutine sends must be sent too.
func TestFaultResolveWhileSending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := fakekernel.New()
		sends, release := make(chan struct{}), make(chan struct{})
		q, _ := openGate(t, k, nfqueue.Config{}, func([][]byte) {
			sends <- struct{}{}
			<-release
		})
		d := queuelab.DeferIf(func(id uint32) bool { return id == 1 })
		s := queuelab.StartServing(q, d)
		first := k.Send(fakekernel.Rule{}, fakekernel.Packet{Family: 2, Payload: smallPacket})
		held := <-d.Held
		second := k.Send(fakekernel.Rule{}, fakekernel.Packet{Family: 2, Payload: smallPacket})
		<-sends // the verdict of the second
		if err := held.Resolve(nfqueue.Accept); err != nil {
			t.Fatal(err)
		}
		go func() {
			for range sends {
			}
		}()
		close(release)
		<-second.Done()
		synctest.Wait()
		select {
		case <-first.Done():
		default:
			t.Error("the verdict of a resolved packet waits, though nothing is being sent")
		}
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
		close(sends)
	})
}

func TestFaultManyHeldFromManyGoroutines(t *testing.T) {
	const packets, goroutines = 65536, 64
	k := newFaulty(t)
	q := k.open(nfqueue.Config{MaxLen: packets})
	d := queuelab.DeferIf(every)
	s := queuelab.StartServing(q, d)
	flights := k.send(packets)
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for range packets / goroutines {
				h := <-d.Held
				p := h.Packet()
				p.SetMark(^p.ID())
				if err := h.Resolve(verdictFor(p.ID())); err != nil {
					t.Errorf("packet %d: %v", p.ID(), err)
				}
			}
		})
	}
	wg.Wait()
	for i, f := range flights {
		id := uint32(i + 1)
		if r := wantVerdict(t, f, verdictFor(id)); r.Passed && r.Mark != ^id {
			t.Fatalf("packet %d has the mark %#x", id, r.Mark)
		}
	}
	if got := q.Stats(); got.Deferred != packets || got.Held != 0 ||
		got.Accepted+got.Dropped != packets || got.TooLate+got.Refused+got.Lost != 0 {
		t.Errorf("%+v", got)
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}
