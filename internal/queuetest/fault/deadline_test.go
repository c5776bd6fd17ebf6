// SPDX-License-Identifier: GPL-2.0-or-later

package fault_test

import (
	"errors"
	"math"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
)

func TestFaultDeferTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFaulty(t)
		q := k.open(nfqueue.Config{Fallback: nfqueue.Accept})
		limits := []time.Duration{3 * time.Second, time.Second, 2 * time.Second, 0, -1}
		held := make(map[uint32]*nfqueue.Held)
		s := queuelab.StartServing(q, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
			held[p.ID()] = p.DeferTimeout(limits[p.ID()-1])
			return nfqueue.Deferred
		}))
		began := time.Now()
		flights := k.send(len(limits))
		for _, i := range []int{3, 4, 1, 2, 0} {
			wantVerdict(t, flights[i], nfqueue.Accept)
			if took, want := time.Since(began), max(limits[i], 0); took < want ||
				took > want+time.Millisecond {
				t.Errorf("packet %d expired after %v, want %v", i+1, took, limits[i])
			}
			if err := held[uint32(i+1)].Resolve(nfqueue.Drop); !errors.Is(err, nfqueue.ErrResolved) {
				t.Errorf("Resolve: %v", err)
			}
		}
		if got := q.Stats(); got.Fallback.Expired != 5 || got.Accepted != 5 || got.Held != 0 {
			t.Errorf("%+v", got)
		}
		if err := s.Stop(); err != nil {
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
	s := queuelab.StartServing(q, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
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
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}

func TestFaultResolveBeforeDeferTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFaulty(t)
		q := k.open(nfqueue.Config{Fallback: nfqueue.Accept})
		held := make(chan *nfqueue.Held, 2)
		s := queuelab.StartServing(q, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
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
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
}

// The holder may be changing a packet when its time has passed. The Fallback is sent without
// changes, as after a panic.
func TestFaultDeferTimeoutWhileEditing(t *testing.T) {
	k := newFaulty(t)
	q := k.open(nfqueue.Config{Fallback: nfqueue.Accept})
	held := make(chan *nfqueue.Held, 1)
	s := queuelab.StartServing(q, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
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
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}

// A time limit may be set after Defer. The last of several counts.
func TestFaultDeferTimeoutAfterDefer(t *testing.T) {
	for name, c := range map[string]struct {
		hold func(p *nfqueue.Packet) *nfqueue.Held
		want time.Duration
	}{
		"after Defer": {func(p *nfqueue.Packet) *nfqueue.Held {
			p.Defer()
			return p.DeferTimeout(5 * time.Second)
		}, 5 * time.Second},
		"shorter": {func(p *nfqueue.Packet) *nfqueue.Held {
			p.DeferTimeout(time.Hour)
			return p.DeferTimeout(5 * time.Second)
		}, 5 * time.Second},
		"longer": {func(p *nfqueue.Packet) *nfqueue.Held {
			p.DeferTimeout(time.Second)
			return p.DeferTimeout(5 * time.Second)
		}, 5 * time.Second},
		"before Defer": {func(p *nfqueue.Packet) *nfqueue.Held {
			p.DeferTimeout(5 * time.Second)
			return p.Defer()
		}, 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newFaulty(t)
				q := k.open(nfqueue.Config{Fallback: nfqueue.Accept})
				f := k.send(1)[0]
				began := time.Now()
				s := queuelab.StartServing(q, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
					c.hold(p)
					return nfqueue.Deferred
				}))
				wantVerdict(t, f, nfqueue.Accept)
				if took := time.Since(began); took != c.want {
					t.Errorf("the Fallback came after %v, want %v", took, c.want)
				}
				if got := q.Stats(); got.Deferred != 1 || got.Held != 0 || got.Fallback.Expired != 1 {
					t.Errorf("%+v", got)
				}
				if err := s.Stop(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A limit for a packet that was resolved meanwhile changes nothing.
func TestFaultDeferTimeoutAfterResolve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFaulty(t)
		q := k.open(nfqueue.Config{})
		f := k.send(1)[0]
		s := queuelab.StartServing(q, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
			if err := p.Defer().Resolve(nfqueue.Accept); err != nil {
				t.Error(err)
			}
			p.DeferTimeout(time.Second)
			return nfqueue.Deferred
		}))
		wantVerdict(t, f, nfqueue.Accept)
		time.Sleep(5 * time.Second)
		if got := q.Stats(); got.Accepted != 1 || got.Dropped != 0 || got.Fallback.Expired != 0 {
			t.Errorf("%+v", got)
		}
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
}
