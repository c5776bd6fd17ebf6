// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueuetest_test

import (
	"bytes"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
)

type handlerFunc = nfqueue.HandlerFunc

func always(v nfqueue.Verdict) handlerFunc {
	return func(*nfqueue.Packet) nfqueue.Verdict { return v }
}

func TestDoVerdicts(t *testing.T) {
	for _, c := range []struct {
		verdict nfqueue.Verdict
		passed  bool
		cause   nfqueuetest.Cause
	}{
		{nfqueue.Drop, false, nfqueuetest.Decided},
		{nfqueue.Accept, true, nfqueuetest.Decided},
		{nfqueue.Stop, true, nfqueuetest.Decided},
		{nfqueue.Repeat, true, nfqueuetest.Decided},
		{nfqueue.ToQueue(7), false, nfqueuetest.NotBound},
		{nfqueue.ToQueueOrAccept(7), true, nfqueuetest.NotBound},
	} {
		r := nfqueuetest.Do(t, nfqueue.Config{}, always(c.verdict), nfqueuetest.Spec{})
		if r.Verdict != c.verdict || r.Passed != c.passed || r.Cause != c.cause ||
			r.Edits != (nfqueuetest.Edits{}) {
			t.Errorf("%v: %+v", c.verdict, r)
		}
		if len(r.Hops) != 1 || r.Hops[0] != (nfqueuetest.Hop{Queue: 0, ID: 1, Verdict: c.verdict}) {
			t.Errorf("%v: hops %+v", c.verdict, r.Hops)
		}
	}
}

func TestDoEdits(t *testing.T) {
	r := nfqueuetest.Do(t, nfqueue.Config{}, handlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		p.SetMark(5)
		p.SetPriority(6)
		if err := p.SetPayload(append(p.Payload(), '!')); err != nil {
			t.Error(err)
		}
		return nfqueue.Accept
	}), nfqueuetest.Spec{Mark: 1, Priority: 2})
	if r.Mark != 5 || r.Priority != 6 || !bytes.HasSuffix(r.Payload, []byte("nfqueuetest!")) ||
		r.Edits != (nfqueuetest.Edits{Mark: true, Priority: true, Payload: true}) {
		t.Errorf("%+v", r)
	}
}

func TestDoBridgeEdits(t *testing.T) {
	tag := nfqueue.VLAN{TCI: 0x2001, Protocol: 0x8100}
	link := []byte("another header")
	r := nfqueuetest.Do(t, nfqueue.Config{}, handlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		if err := errors.Join(p.SetVLAN(tag), p.SetLinkHeader(link)); err != nil {
			t.Error(err)
		}
		return nfqueue.Accept
	}), nfqueuetest.Spec{Family: nfqueue.FamilyBridge})
	if r.VLAN != tag || !bytes.Equal(r.LinkHeader, link) ||
		r.Edits != (nfqueuetest.Edits{VLAN: true, LinkHeader: true}) {
		t.Errorf("%+v", r)
	}
}

// After Repeat a packet is queued again as long as Match matches it.
func TestDoRepeat(t *testing.T) {
	calls := uint32(0)
	r := nfqueuetest.Do(t, nfqueue.Config{}, handlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		calls++
		if p.ID() != calls || p.Mark() != calls-1 {
			t.Errorf("call %d: id %d, mark %d", calls, p.ID(), p.Mark())
		}
		p.SetMark(calls)
		return nfqueue.Repeat
	}), nfqueuetest.Spec{Match: func(s nfqueuetest.Spec) bool { return s.Mark < 3 }})
	if r.Verdict != nfqueue.Repeat || !r.Passed || len(r.Hops) != 3 || calls != 3 {
		t.Errorf("%+v", r)
	}
}

func TestDoWaitsForHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := nfqueuetest.Do(t, nfqueue.Config{}, handlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
			h := p.Defer()
			go func() {
				time.Sleep(9 * time.Second)
				h.Packet().SetMark(3)
				if err := h.Resolve(nfqueue.Accept); err != nil {
					t.Error(err)
				}
			}()
			return nfqueue.Deferred
		}), nfqueuetest.Spec{})
		if r.Verdict != nfqueue.Accept || r.Mark != 3 {
			t.Errorf("%+v", r)
		}
	})
}

func TestDoFails(t *testing.T) {
	for _, c := range []struct {
		name  string
		h     func(tb testing.TB) handlerFunc
		words []string
	}{
		{"panic", func(testing.TB) handlerFunc {
			return func(*nfqueue.Packet) nfqueue.Verdict { panic("in the handler") }
		}, []string{"panicked", "in the handler", "192.0.2.1:1024"}},
		{"Goexit", func(testing.TB) handlerFunc {
			return func(*nfqueue.Packet) nfqueue.Verdict {
				runtime.Goexit()
				return nfqueue.Accept
			}
		}, []string{"ended its goroutine"}},
		{"FailNow", func(tb testing.TB) handlerFunc {
			return func(*nfqueue.Packet) nfqueue.Verdict {
				tb.Fatal("said the handler")
				return nfqueue.Accept
			}
		}, []string{"said the handler"}},
		{"invalid verdict", func(testing.TB) handlerFunc { return always(2) },
			[]string{"invalid verdict"}},
		{"Deferred without Defer", func(testing.TB) handlerFunc { return always(nfqueue.Deferred) },
			[]string{"invalid verdict"}},
		{"forgotten", func(testing.TB) handlerFunc {
			return func(p *nfqueue.Packet) nfqueue.Verdict {
				p.Defer()
				return nfqueue.Deferred
			}
		}, []string{"no verdict within 10s", "packet 1 of queue 0", "192.0.2.1:1024"}},
		{"panic with OnPanic", func(testing.TB) handlerFunc {
			return func(*nfqueue.Packet) nfqueue.Verdict { panic("in the handler") }
		}, []string{"panicked", "192.0.2.1:1024"}},
		{"decided twice", func(testing.TB) handlerFunc {
			return func(p *nfqueue.Packet) nfqueue.Verdict {
				p.Defer().Resolve(nfqueue.Accept)
				return nfqueue.Drop
			}
		}, []string{"twice"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				wantFailure(t, func(tb testing.TB) {
					var cfg nfqueue.Config
					if c.name == "panic with OnPanic" {
						cfg.OnPanic = func(*nfqueue.PanicError) {}
					}
					nfqueuetest.Do(tb, cfg, c.h(tb), nfqueuetest.Spec{})
					tb.Error("Do returned")
				}, c.words...)
			})
		})
	}
}

func TestDoFailsWhenHandlerBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		block := make(chan struct{})
		defer close(block)
		wantFailure(t, func(tb testing.TB) {
			nfqueuetest.Do(tb, nfqueue.Config{}, handlerFunc(func(*nfqueue.Packet) nfqueue.Verdict {
				<-block
				return nfqueue.Accept
			}), nfqueuetest.Spec{})
		}, "no verdict within 10s", "packet 1 of queue 0")
	})
}

// A handler sees what the kernel tells a queue with the program's Config.
func TestDoConfig(t *testing.T) {
	owner := nfqueuetest.Spec{Hook: nfqueue.HookOutput, Owner: &nfqueuetest.Owner{UID: 1000}}
	for _, flags := range []nfqueue.Flags{0, nfqueue.UIDGID} {
		var uid uint32
		var ok bool
		nfqueuetest.Do(t, nfqueue.Config{Queue: 7, Flags: flags},
			handlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
				if p.Queue() != 7 {
					t.Errorf("queue %d", p.Queue())
				}
				uid, ok = p.UID()
				return nfqueue.Accept
			}), owner)
		if want := flags == nfqueue.UIDGID; ok != want || ok && uid != 1000 {
			t.Errorf("flags %v: uid %d, %v", flags, uid, ok)
		}
	}
	nfqueuetest.Do(t, nfqueue.Config{CopyRange: 20},
		handlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
			if len(p.Payload()) != 20 {
				t.Errorf("%d bytes", len(p.Payload()))
			}
			return nfqueue.Accept
		}), nfqueuetest.Spec{})
}
