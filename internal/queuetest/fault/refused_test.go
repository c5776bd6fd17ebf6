// SPDX-License-Identifier: GPL-2.0-or-later

package fault_test

import (
	"errors"
	"io/fs"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/kernel"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
)

// Without CAP_NET_ADMIN the kernel discards a datagram and answers its first message.
func TestFaultDatagramRefused(t *testing.T) {
	for _, c := range []struct {
		name string
		h    nfqueue.HandlerFunc
		id   uint32 // in the reply
	}{
		{"messages", oddDropped, 1},
		{"batch", queuelab.Always(nfqueue.Accept), 20},
		{"batch and messages", func(p *nfqueue.Packet) nfqueue.Verdict { return verdictFor(max(p.ID(), 10) + 1) }, 10},
		{"edited", func(p *nfqueue.Packet) nfqueue.Verdict {
			p.SetMark(p.ID())
			return nfqueue.Accept
		}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			const packets = 20
			k := newFaulty(t)
			told := make(queuelab.Refusals, packets)
			q := k.open(nfqueue.Config{FlushAfter: time.Hour, OnRefused: told.Add})
			flights := k.send(packets)
			k.RefuseVerdict(0, kernel.Error(kernel.EPERM))
			s := queuelab.StartServing(q, c.h)
			e := <-told
			if e.ID != c.id || e.Verdicts != packets || !errors.Is(e, fs.ErrPermission) {
				t.Errorf("told of %v", e)
			}
			if got := q.Stats(); got.Refused != packets || got.TooLate+got.Unsent != 0 {
				t.Errorf("%+v", got)
			}
			wantWaiting(t, flights[0])
			for _, f := range k.send(packets) {
				if r := f.Result(); r.Cause != nfqueuetest.Decided {
					t.Errorf("%v: %v", f, r.Cause)
				}
			}
			if err := s.Stop(); err != nil {
				t.Error(err)
			}
			for _, f := range flights {
				if r := f.Result(); r.Cause != nfqueuetest.Closed {
					t.Errorf("%v: %v", f, r.Cause)
				}
			}
		})
	}
}

// A panic of OnRefused comes out of the method that reads the refusal. If the caller recovers, the
// queue goes on, and the refusal is counted and reported once.
func TestFaultPanicInOnRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFaulty(t)
		told := 0
		q := k.open(nfqueue.Config{Fallback: nfqueue.Accept, OnRefused: func(*nfqueue.VerdictError) {
			told++
			panic("mine")
		}})
		refused := k.send(2)
		k.RefuseVerdict(0, kernel.Error(kernel.EPERM))
		if err := q.Serve(t.Context(), misbehave(func() { panic("so that Serve does not read the answer") })); err == nil {
			t.Error("Serve has not ended with the panic")
		}
		func() {
			defer func() {
				if v := recover(); v != "mine" {
					t.Errorf("SetMaxLen: %v", v)
				}
			}()
			_ = q.SetMaxLen(100)
		}()
		if err := q.SetMaxLen(200); err != nil {
			t.Error(err)
		}
		s := queuelab.StartServing(q, queuelab.Always(nfqueue.Accept))
		wantVerdict(t, k.send(1)[0], nfqueue.Accept)
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
		if got := q.Stats(); told != 1 || got.Refused != 2 {
			t.Errorf("told %d times: %+v", told, got)
		}
		for _, f := range refused {
			f.Result()
		}
	})
}

// A panic of OnRefused comes out of the method that serves. It leaves no goroutine and no packet
// behind, and the queue can be served again.
func TestFaultPanicInOnRefusedWhileServing(t *testing.T) {
	for name, serve := range queuelab.Servers {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newFaulty(t)
				told := 0
				q := k.open(nfqueue.Config{OnRefused: func(*nfqueue.VerdictError) {
					told++
					panic("mine")
				}})
				k.RefuseVerdict(0, kernel.Error(kernel.EPERM))
				refused := k.send(1)
				panicked := make(chan any, 1)
				go func() {
					defer func() { panicked <- recover() }()
					_ = serve(t.Context(), q, func(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Accept })
				}()
				if v := <-panicked; v != "mine" {
					t.Errorf("it panicked with %v", v)
				}
				s := queuelab.StartServing(q, queuelab.Always(nfqueue.Accept))
				for _, f := range k.send(3) {
					wantVerdict(t, f, nfqueue.Accept)
				}
				if err := s.Stop(); err != nil {
					t.Error(err)
				}
				if got := q.Stats(); told != 1 || got.Refused != 1 || got.Undecided() != 0 {
					t.Errorf("told %d times: %+v", told, got)
				}
				refused[0].Result()
			})
		})
	}
}
