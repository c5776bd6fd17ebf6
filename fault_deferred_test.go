// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/fakekernel"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
)

// deferrer defers the packets whose ids it is told, and accepts the others.
type deferrer struct {
	which func(id uint32) bool
	held  chan *nfqueue.Held
}

func deferIf(which func(id uint32) bool) deferrer {
	return deferrer{which, make(chan *nfqueue.Held, 1<<16)}
}

func (d deferrer) ServePacket(p *nfqueue.Packet) nfqueue.Verdict {
	if !d.which(p.ID()) {
		return nfqueue.Accept
	}
	d.held <- p.Defer()
	return nfqueue.Deferred
}

func every(uint32) bool { return true }

func TestFaultVerdictAfterDefer(t *testing.T) {
	k := newFaulty(t)
	q := k.open(nfqueue.Config{})
	var held *nfqueue.Held
	s := startServing(q, handlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		held = p.Defer()
		return nfqueue.Accept
	}))
	f := k.Send(0, nfqueuetest.Spec{})
	wantVerdict(t, f, nfqueue.Accept)
	if err := s.stop(); err != nil {
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
	s := startServing(q, handlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		if err := p.Defer().Resolve(nfqueue.Accept); err != nil {
			t.Error(err)
		}
		return nfqueue.Drop
	}))
	wantVerdict(t, k.Send(0, nfqueuetest.Spec{}), nfqueue.Accept)
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	if got := q.Stats(); got.Doubled != 1 || got.Gone != 0 || got.Dropped != 0 {
		t.Errorf("%+v", got)
	}
}

func TestFaultInvalidVerdictAfterDefer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFaulty(t)
		q := k.open(nfqueue.Config{Fallback: nfqueue.Accept})
		s := startServing(q, handlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
			p.Defer()
			return 2
		}))
		f := k.Send(0, nfqueuetest.Spec{})
		wantVerdict(t, f, nfqueue.Accept)
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestFaultPanicAfterDefer(t *testing.T) {
	k := newFaulty(t)
	q := k.open(nfqueue.Config{Fallback: nfqueue.Accept})
	f := k.Send(0, nfqueuetest.Spec{})
	var held *nfqueue.Held
	err := q.Serve(t.Context(), handlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
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
	d := deferIf(every)
	s := startServing(q, d)
	f := k.Send(0, nfqueuetest.Spec{})
	held := <-d.held
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
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

func TestFaultResolveAfterClose(t *testing.T) {
	k := newFaulty(t)
	q := k.open(nfqueue.Config{})
	d := deferIf(every)
	s := startServing(q, d)
	f := k.Send(0, nfqueuetest.Spec{})
	held := <-d.held
	q.Close()
	if err := held.Resolve(nfqueue.Accept); !errors.Is(err, nfqueue.ErrClosed) {
		t.Errorf("Resolve: %v", err)
	}
	if r := f.Result(); r.Cause != nfqueuetest.Closed {
		t.Errorf("%+v", r)
	}
	if err := <-s.result; !errors.Is(err, nfqueue.ErrClosed) {
		t.Errorf("Serve: %v", err)
	}
}

// A handler that closes the queue and then defers its packet has nobody who will ever
// resolve it.
func TestFaultNeverResolvedAfterClose(t *testing.T) {
	for name, serve := range servers {
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

// The right to decide a packet exists once: a copy of the packet must not make
// another.
func TestFaultDeferOfACopy(t *testing.T) {
	for name, second := range map[string]func(p *nfqueue.Packet) *nfqueue.Held{
		"Clone":       func(p *nfqueue.Packet) *nfqueue.Held { return p.Clone().Defer() },
		"Held.Packet": func(p *nfqueue.Packet) *nfqueue.Held { return p.Defer().Packet().Defer() },
	} {
		t.Run(name, func(t *testing.T) {
			k := newFaulty(t)
			q := k.open(nfqueue.Config{})
			s := startServing(q, handlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
				first := p.Defer()
				if h := deferOrPanic(second, p); h != nil && h != first {
					t.Error("a second Held for one packet")
					h.Resolve(nfqueue.Accept)
				}
				first.Resolve(nfqueue.Accept)
				return nfqueue.Deferred
			}))
			wantVerdict(t, k.Send(0, nfqueuetest.Spec{}), nfqueue.Accept)
			if err := s.stop(); err != nil {
				t.Error(err)
			}
			if got := q.Stats(); got.Gone != 0 {
				t.Errorf("%d verdicts for a packet that had one", got.Gone)
			}
		})
	}
}

// deferOrPanic returns nil if fn refuses by a panic, as Defer does outside of the
// handler.
func deferOrPanic(fn func(*nfqueue.Packet) *nfqueue.Held, p *nfqueue.Packet) (h *nfqueue.Held) {
	defer func() { _ = recover() }()
	return fn(p)
}

func TestFaultDeferTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFaulty(t)
		q := k.open(nfqueue.Config{Fallback: nfqueue.Accept})
		limits := []time.Duration{3 * time.Second, time.Second, 2 * time.Second, 0, -1}
		held := make(map[uint32]*nfqueue.Held)
		s := startServing(q, handlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
			held[p.ID()] = p.DeferTimeout(limits[p.ID()-1])
			return nfqueue.Deferred
		}))
		began := time.Now()
		flights := k.send(len(limits))
		for _, i := range []int{3, 4, 1, 2, 0} {
			wantVerdict(t, flights[i], nfqueue.Accept)
			if took, want := time.Since(began), max(limits[i], 0); took < want || took > want+time.Millisecond {
				t.Errorf("packet %d expired after %v, want %v", i+1, took, limits[i])
			}
			if err := held[uint32(i+1)].Resolve(nfqueue.Drop); !errors.Is(err, nfqueue.ErrResolved) {
				t.Errorf("Resolve: %v", err)
			}
		}
		if got := q.Stats(); got.Fallback.Expired != 5 || got.Accepted != 5 || got.Held != 0 {
			t.Errorf("%+v", got)
		}
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
}

// The longest time is the last to pass: packets with less must not wait for it. This is
// outside of a bubble, where the clock would begin long before the one of the queue.
func TestFaultDeferTimeoutLongest(t *testing.T) {
	k := newFaulty(t)
	q := k.open(nfqueue.Config{Fallback: nfqueue.Accept})
	held := make(chan *nfqueue.Held, 2)
	limits := []time.Duration{math.MaxInt64, time.Millisecond}
	s := startServing(q, handlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		held <- p.DeferTimeout(limits[p.ID()-1])
		return nfqueue.Deferred
	}))
	flights := k.send(2)
	wantVerdict(t, flights[1], nfqueue.Accept)
	if err := (<-held).Resolve(nfqueue.Drop); err != nil {
		t.Error(err)
	}
	wantVerdict(t, flights[0], nfqueue.Drop)
	if got := q.Stats(); got.Fallback.Expired != 1 {
		t.Errorf("%+v", got)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

func TestFaultResolveBeforeDeferTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFaulty(t)
		q := k.open(nfqueue.Config{Fallback: nfqueue.Accept})
		held := make(chan *nfqueue.Held, 2)
		s := startServing(q, handlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
			held <- p.DeferTimeout(time.Duration(p.ID()) * time.Second)
			return nfqueue.Deferred
		}))
		flights := k.send(2)
		if err := (<-held).Resolve(nfqueue.Drop); err != nil {
			t.Error(err)
		}
		wantVerdicts(t, flights, nfqueue.Drop, nfqueue.Accept)
		if got := q.Stats(); got.Fallback.Expired != 1 {
			t.Errorf("%+v", got)
		}
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
}

// Whoever holds a packet may be changing it when its time has passed. The Fallback
// goes without changes, as after a panic.
func TestFaultDeferTimeoutWhileEditing(t *testing.T) {
	k := newFaulty(t)
	q := k.open(nfqueue.Config{Fallback: nfqueue.Accept})
	held := make(chan *nfqueue.Held, 1)
	s := startServing(q, handlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		held <- p.DeferTimeout(5 * time.Millisecond)
		return nfqueue.Deferred
	}))
	f := k.Send(0, nfqueuetest.Spec{})
	h := <-held
	for mark := uint32(1); ; mark++ {
		h.Packet().SetMark(mark)
		select {
		case <-f.Done():
		default:
			runtime.Gosched()
			continue
		}
		break
	}
	if r := wantVerdict(t, f, nfqueue.Accept); r.Edits.Mark {
		t.Errorf("the Fallback came with the mark %#x", r.Mark)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// A verdict that is resolved while another goroutine sends must not be left behind.
func TestFaultResolveWhileSending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := fakekernel.New()
		sends, release := make(chan struct{}), make(chan struct{})
		q, _ := openGate(t, k, nfqueue.Config{}, func([][]byte) {
			sends <- struct{}{}
			<-release
		})
		d := deferIf(func(id uint32) bool { return id == 1 })
		s := startServing(q, d)
		first := k.Send(fakekernel.Rule{}, fakekernel.Packet{Family: 2, Payload: smallPacket})
		held := <-d.held
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
		if err := s.stop(); err != nil {
			t.Error(err)
		}
		close(sends)
	})
}

func TestFaultManyHeldFromManyGoroutines(t *testing.T) {
	const packets, goroutines = 65536, 64
	k := newFaulty(t)
	q := k.open(nfqueue.Config{MaxLen: packets})
	d := deferIf(every)
	s := startServing(q, d)
	flights := k.send(packets)
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for range packets / goroutines {
				h := <-d.held
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
	if got := q.Stats(); got.Deferred != packets || got.Held != 0 || got.Accepted+got.Dropped != packets || got.Gone+got.Refused+got.Lost != 0 {
		t.Errorf("%+v", got)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

func verdictFor(id uint32) nfqueue.Verdict { return nfqueue.Verdict(id % 2) }

// VERDICT_BATCH decides all packets up to an id, so it may not be used while one of
// those is held. Handlers that accept, drop, defer and resolve at random find out,
// while ids wrap around.
func TestFaultBatchNeverDecidesHeld(t *testing.T) {
	const packets = 400
	batched := 0
	for seed := range uint64(60) {
		batched += batchRandomly(t, packets, rand.New(rand.NewPCG(seed, 0)))
	}
	if batched < packets {
		t.Errorf("only %d packets were decided by VERDICT_BATCH; this test would not notice", batched)
	}
}

// right is a held packet and the verdict meant for it.
type right struct {
	*nfqueue.Held
	verdict nfqueue.Verdict
}

// batchRandomly returns the number of packets decided by VERDICT_BATCH.
func batchRandomly(t *testing.T, packets int, rnd *rand.Rand) (batched int) {
	k := newFaulty(t)
	k.SetFirstID(-uint32(rnd.IntN(packets)))
	rights := make(chan right, packets)
	var resolvers sync.WaitGroup
	for range 3 {
		resolvers.Go(func() {
			for r := range rights {
				if err := r.Resolve(r.verdict); err != nil {
					t.Error(err)
				}
			}
		})
	}
	var kept []right
	meant := make(map[uint32]nfqueue.Verdict)
	q := k.open(nfqueue.Config{Batch: 1 + rnd.IntN(100)})
	s := startServing(q, handlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		v := nfqueue.Accept
		if rnd.IntN(20) == 0 {
			v = nfqueue.Drop
		}
		meant[p.ID()] = v
		last := len(meant) == packets
		if last || rnd.IntN(20) == 0 {
			for _, r := range kept {
				rights <- r
			}
			kept = nil
		}
		switch r := rnd.IntN(40); {
		case last:
			return v
		case r == 0:
			rights <- right{p.Defer(), v}
			return nfqueue.Deferred
		case r == 1:
			kept = append(kept, right{p.Defer(), v})
			return nfqueue.Deferred
		}
		return v
	}))
	flights := k.send(packets)
	<-flights[packets-1].Done()
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	close(rights)
	resolvers.Wait()
	for _, f := range flights {
		r := f.Result()
		if len(r.Hops) != 1 {
			t.Fatalf("%v: %+v", f, r)
		}
		wantVerdict(t, f, meant[r.Hops[0].ID])
		if r.Hops[0].Batch {
			batched++
		}
	}
	if got := q.Stats(); got.Gone+got.Refused+got.Unsent != 0 {
		t.Errorf("%+v", got)
	}
	return batched
}

// Who sends is not kept for as long as others have verdicts to send, who do not come to an
// end here before their packets do. All of these leave all the same.
func TestFaultSenderIsNotKept(t *testing.T) {
	const packets, few = 500, 4
	for name, begin := range map[string]func(k *fakekernel.Kernel, own *nfqueue.Held){
		"Resolve": func(_ *fakekernel.Kernel, own *nfqueue.Held) { own.Resolve(nfqueue.Accept) },
		"Serve": func(k *fakekernel.Kernel, own *nfqueue.Held) {
			k.Send(fakekernel.Rule{}, fakekernel.Packet{Family: 2, Payload: smallPacket})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := fakekernel.New()
				held := make(chan *nfqueue.Held, packets)
				var on atomic.Bool
				var sends atomic.Int32
				q, _ := openGate(t, k, nfqueue.Config{Fallback: nfqueue.Drop}, func([][]byte) {
					if !on.Load() {
						return
					}
					sends.Add(1)
					resolved := make(chan struct{})
					go func() {
						defer close(resolved)
						select {
						case h := <-held:
							h.Resolve(nfqueue.Accept)
						default:
						}
					}()
					<-resolved
				})
				var flights []*fakekernel.Flight
				for range packets {
					flights = append(flights, k.Send(fakekernel.Rule{}, fakekernel.Packet{Family: 2, Payload: smallPacket}))
				}
				after := int32(-1)
				s := startServing(q, handlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
					switch p.ID() {
					case packets + 1:
						k.Send(fakekernel.Rule{}, fakekernel.Packet{Family: 2, Payload: smallPacket})
						return nfqueue.Accept
					case packets + 2:
						after = sends.Load()
						return nfqueue.Accept
					}
					held <- p.Defer()
					return nfqueue.Deferred
				}))
				synctest.Wait()
				on.Store(true)
				own := <-held
				begin(k, own)
				if name == "Resolve" {
					after = sends.Load()
				}
				synctest.Wait()
				on.Store(false)
				if after < 1 || after > few {
					t.Errorf("went on after %d datagrams", after)
				}
				own.Resolve(nfqueue.Accept) // if it was not
				for i, f := range flights {
					select {
					case <-f.Done():
					default:
						t.Fatalf("packet %d waits, %d datagrams", i+1, sends.Load())
					}
				}
				if err := s.stop(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
