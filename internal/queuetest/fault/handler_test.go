// SPDX-License-Identifier: GPL-2.0-or-later

package fault_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/ippkt"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
)

// misbehave is how a handler mistreats packet 2 of 4.
func misbehave(what func()) nfqueue.HandlerFunc {
	return func(p *nfqueue.Packet) nfqueue.Verdict {
		if p.ID() == 2 {
			what()
		}
		return nfqueue.Drop
	}
}

func TestFaultPanicInHandler(t *testing.T) {
	k := newFaulty(t)
	q := k.open(nfqueue.Config{Fallback: nfqueue.Accept})
	flights := k.send(4)
	cause := errors.New("mine")
	err := q.Serve(t.Context(), misbehave(func() { panic(cause) }))
	var p *nfqueue.PanicError
	if !errors.As(err, &p) || p.Value != cause || !errors.Is(err, cause) ||
		!bytes.Contains(p.Stack, []byte("misbehave")) {
		t.Fatalf("Serve: %v", err)
	}
	wantVerdicts(t, flights[:2], nfqueue.Drop, nfqueue.Accept)
	wantWaiting(t, flights[2])

	// The queue works, and the packets that were received in the same batch are not lost.
	s := queuelab.StartServing(q, queuelab.Always(nfqueue.Drop))
	wantVerdicts(t, flights[2:], nfqueue.Drop, nfqueue.Drop)
	wantVerdict(t, k.Send(0, nfqueuetest.Spec{}), nfqueue.Drop)
	if got := q.Stats().Fallback.Panic; got != 1 {
		t.Errorf("%d panics counted", got)
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}

func TestFaultGoexitInHandler(t *testing.T) {
	k := newFaulty(t)
	q := k.open(nfqueue.Config{Fallback: nfqueue.Accept})
	flights := k.send(4)
	s := queuelab.StartServing(q, misbehave(runtime.Goexit))
	if err, returned := <-s.Result; returned {
		t.Fatalf("Serve returned: %v", err)
	}
	wantVerdicts(t, flights[:2], nfqueue.Drop, nfqueue.Accept)

	s = queuelab.StartServing(q, queuelab.Always(nfqueue.Drop))
	wantVerdicts(t, flights[2:], nfqueue.Drop, nfqueue.Drop)
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}

// A panic while the queue is drained must not leave the other packets without a verdict.
func TestFaultPanicWhileDraining(t *testing.T) {
	k := newFaulty(t)
	q := k.open(nfqueue.Config{Fallback: nfqueue.Accept})
	flights := k.send(4)
	ctx, cancel := context.WithCancel(t.Context())
	err := q.Serve(ctx, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		switch p.ID() {
		case 1:
			flights = append(flights, k.send(3)...) // behind the batch
			cancel()
		case 6:
			panic("while draining")
		}
		return nfqueue.Drop
	}))
	var p *nfqueue.PanicError
	if !errors.As(err, &p) {
		t.Errorf("Serve: %v", err)
	}
	for i, f := range flights {
		want := nfqueue.Drop
		if i >= 5 {
			want = nfqueue.Accept
		}
		wantVerdict(t, f, want)
	}
}

func TestFaultInvalidVerdicts(t *testing.T) {
	for _, v := range []nfqueue.Verdict{nfqueue.Deferred, 2, 6, 0x10001, 0x10004, 0x10000,
		nfqueue.ToQueue(1) | 0x100, 1 << 31} {
		k := newFaulty(t)
		q := k.open(nfqueue.Config{Fallback: nfqueue.Accept})
		s := queuelab.StartServing(q, queuelab.Always(v))
		wantVerdict(t, k.Send(0, nfqueuetest.Spec{}), nfqueue.Accept)
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
		if got := q.Stats(); got.Fallback.Invalid != 1 || got.Accepted != 1 {
			t.Errorf("%v: %+v", v, got)
		}
	}
}

func TestFaultCloseFromHandler(t *testing.T) {
	k := newFaulty(t)
	q := k.open(nfqueue.Config{})
	flights := k.send(3)
	err := q.Serve(t.Context(), nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		if p.ID() != 1 {
			t.Error("called for another packet after Close")
		}
		if err := q.Close(); err != nil {
			t.Error(err)
		}
		return nfqueue.Accept
	}))
	if !errors.Is(err, nfqueue.ErrClosed) {
		t.Errorf("Serve: %v", err)
	}
	for _, f := range flights {
		if r := f.Result(); r.Cause != nfqueuetest.Closed {
			t.Errorf("%v: %v", f, r.Cause)
		}
	}
	if err := q.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

// This long may a verdict wait for a handler that blocks.
const (
	watchdog     = nfqueue.DefaultFlushAfter + time.Millisecond
	busyWatchdog = nfqueue.DefaultFlushAfter + 16*time.Millisecond
)

// A verdict must not wait for the handler of a later packet.
func TestFaultBlockingHandlerDelaysNothing(t *testing.T) {
	for _, first := range []struct {
		name string
		do   func(k *faulty)
		h    nfqueue.HandlerFunc
	}{
		{"verdict", func(*faulty) {}, queuelab.Always(nfqueue.Accept)},
		{"edited", func(*faulty) {}, func(p *nfqueue.Packet) nfqueue.Verdict {
			p.SetMark(1)
			return nfqueue.Accept
		}},
		{"invalid verdict", func(*faulty) {}, queuelab.Always(nfqueue.Deferred)},
		{"message cut off", func(k *faulty) { k.Truncate(0, 40) }, nil},
	} {
		t.Run(first.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newFaulty(t)
				q := k.open(nfqueue.Config{Fallback: nfqueue.Accept})
				first.do(k)
				began := time.Now()
				flights := k.send(2)
				block := make(chan struct{})
				unblock := sync.OnceFunc(func() { close(block) })
				defer unblock()
				s := queuelab.StartServing(q, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
					if p.ID() == 1 {
						return first.h(p)
					}
					<-block
					return nfqueue.Drop
				}))
				wantVerdict(t, flights[0], nfqueue.Accept)
				if took := time.Since(began); took > watchdog {
					t.Errorf("the verdict left after %v", took)
				}
				wantWaiting(t, flights[1])
				unblock()
				wantVerdict(t, flights[1], nfqueue.Drop)
				if err := s.Stop(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// Nor in a queue that was busy for so long that the watchdog checks as rarely as it ever does, at
// any phase of its timer.
func TestFaultBlockingHandlerInBusyQueue(t *testing.T) {
	for packets := uint32(3000); packets < 5000; packets += 200 {
		synctest.Test(t, func(t *testing.T) {
			k := newFaulty(t)
			q := k.open(nfqueue.Config{MaxLen: packets})
			flights := k.send(int(packets))
			block := make(chan struct{})
			var decided time.Time
			s := queuelab.StartServing(q, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
				switch id := p.ID(); {
				case id == packets:
					<-block
				case id == packets-1:
					decided = time.Now()
				case id%10 == 0:
					time.Sleep(nfqueue.DefaultFlushAfter * 9 / 10)
				}
				return nfqueue.Accept
			}))
			wantVerdict(t, flights[packets-2], nfqueue.Accept)
			if took := time.Since(decided); took > busyWatchdog {
				t.Errorf("after %d packets the verdict left after %v", packets, took)
			}
			wantWaiting(t, flights[packets-1])
			close(block)
			for _, f := range flights {
				f.Result()
			}
			if err := s.Stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A payload that was changed in place counts as changed, also if SetPayload gets a copy.
func TestFaultSetPayloadAfterChangeInPlace(t *testing.T) {
	want := slices.Clone(smallPacket)
	want[len(want)-1] ^= 1
	if err := ippkt.Complete(want); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		give func(changed []byte) []byte
	}{
		{"same slice", func(b []byte) []byte { return b }},
		{"copy", slices.Clone[[]byte]},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := nfqueuetest.Do(t, nfqueue.Config{}, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
				b := p.Payload()
				b[len(b)-1] ^= 1
				if err := p.SetPayload(c.give(b)); err != nil {
					t.Error(err)
				}
				return nfqueue.Accept
			}), nfqueuetest.Spec{Payload: smallPacket})
			if !bytes.Equal(r.Payload, want) {
				t.Errorf("payload\n%x, want\n%x", r.Payload, want)
			}
		})
	}
}

// The clock of a bubble starts in the past; time limits and the log still follow it.
func TestFaultLogInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		k := newFaulty(t)
		q := k.open(nfqueue.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		s := queuelab.StartServing(q, queuelab.Always(nfqueue.Deferred))
		wantVerdict(t, k.Send(0, nfqueuetest.Spec{}), nfqueue.Drop)
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
		if !bytes.Contains(log.Bytes(), []byte("invalid verdict")) {
			t.Errorf("nothing about the invalid verdict in the log: %q", log.String())
		}
	})
}
