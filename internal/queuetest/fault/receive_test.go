// SPDX-License-Identifier: GPL-2.0-or-later

package fault_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/nlwire"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
)

// headLen is the length of a PACKET message up to and with the id.
const headLen = nlwire.HeaderLen + 4 + nlwire.AttrHeaderLen + 4

func TestFaultMessageCutOff(t *testing.T) {
	for n := headLen; n < headLen+40; n++ {
		k := newFaulty(t)
		q := k.open(nfqueue.Config{Fallback: nfqueue.Accept})
		before := k.send(2)
		k.Truncate(0, n)
		flights := append(before, k.send(3)...)
		s := queuelab.StartServing(q, queuelab.Always(nfqueue.Drop))
		wantVerdicts(t, flights, nfqueue.Drop, nfqueue.Drop, nfqueue.Accept, nfqueue.Drop, nfqueue.Drop)
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
		if got := q.Stats(); got.Fallback.Truncated != 1 || got.Malformed != 0 || got.Lost != 0 ||
			got.Received != 5 || got.Accepted != 1 {
			t.Errorf("%d bytes: %+v", n, got)
		}
	}
}

// A packet whose id is cut off cannot be decided, and must not be decided by accident.
func TestFaultIDCutOff(t *testing.T) {
	for n := range headLen {
		k := newFaulty(t)
		q := k.open(nfqueue.Config{Fallback: nfqueue.Drop})
		before := k.send(2)
		k.Truncate(0, n)
		cut := k.send(1)[0]
		flights := append(before, k.send(3)...)
		s := queuelab.StartServing(q, queuelab.Always(nfqueue.Accept))
		for _, f := range flights {
			wantVerdict(t, f, nfqueue.Accept)
		}
		wantWaiting(t, cut)
		if got := q.Stats(); got.Malformed != 1 {
			t.Errorf("%d bytes: %+v", n, got)
		}
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
		cut.Result()
	}
}

func netlinkMessage(typ uint16, body ...byte) []byte {
	b := append(nlwire.AppendHeader(nil, typ, 0, 0), body...)
	nlwire.Finish(b, 0)
	return b
}

func withLen(b []byte, n uint32) []byte {
	binary.NativeEndian.PutUint32(b, n)
	return b
}

func TestFaultMalformedDatagrams(t *testing.T) {
	const packet = 0x300
	attr := func(typ, n uint16, data ...byte) []byte {
		return append(nlwire.AppendAttrHeader([]byte{2, 0, 0, 0}, typ, int(n)), data...)
	}
	for i, b := range [][]byte{
		{},
		{1},
		make([]byte, 16),
		make([]byte, 64),
		netlinkMessage(packet),
		netlinkMessage(packet, 2, 0, 0),
		netlinkMessage(packet, 2, 0, 0, 0),
		withLen(netlinkMessage(packet, 2, 0, 0, 0), 0),
		withLen(netlinkMessage(packet, 2, 0, 0, 0), 15),
		withLen(netlinkMessage(packet, 2, 0, 0, 0), 1<<31),
		withLen(netlinkMessage(packet, 2, 0, 0, 0), 1<<32-1),
		netlinkMessage(packet, attr(1, 7)...),
		netlinkMessage(packet, attr(1, 3, 0, 0, 0)...),
		netlinkMessage(packet, attr(10, 4, 1, 2, 3, 4)...),
		netlinkMessage(packet, attr(3, 0xfff0, 1, 2, 3, 4)...),
		netlinkMessage(0x301, 2, 0, 0, 0),
		netlinkMessage(0x1234, 2, 0, 0, 0),
		netlinkMessage(nlwire.TypeNoop, 0, 0, 0, 0),
		netlinkMessage(nlwire.TypeDone, 0, 0, 0, 0),
		netlinkMessage(nlwire.TypeError),
		netlinkMessage(nlwire.TypeError, 1, 2, 3),
		netlinkMessage(nlwire.TypeError, 1, 2, 3, 4),
		withLen(netlinkMessage(nlwire.TypeError, make([]byte, 20)...), 1000),
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			k := newFaulty(t)
			q := k.open(nfqueue.Config{})
			before := k.send(1)
			k.Deliver(0, b)
			s := queuelab.StartServing(q, queuelab.Always(nfqueue.Accept))
			wantVerdicts(t, append(before, k.send(2)...), nfqueue.Accept, nfqueue.Accept, nfqueue.Accept)
			if err := s.Stop(); err != nil {
				t.Error(err)
			}
			if got := q.Stats(); got.Malformed != 1 || got.Received != 3 {
				t.Errorf("%x: %+v", b, got)
			}
		})
	}
}

// An unsolicited reply is ignored.
func TestFaultStrayReplies(t *testing.T) {
	k := newFaulty(t)
	q := k.open(nfqueue.Config{})
	for typ := range uint16(6) {
		for seq := range uint32(5) {
			body := append([]byte{0xff, 0xff, 0xff, 0xff}, nlwire.AppendHeader(nil, 0x300+typ, 5, seq)...)
			k.Deliver(0, netlinkMessage(nlwire.TypeError, body...))
		}
	}
	s := queuelab.StartServing(q, queuelab.Always(nfqueue.Accept))
	wantVerdict(t, k.Send(0, nfqueuetest.Spec{}), nfqueue.Accept)
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}

func TestFaultLostReplyToOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFaulty(t)
		k.LoseReply(0)
		q := k.open(nfqueue.Config{})
		s := queuelab.StartServing(q, queuelab.Always(nfqueue.Accept))
		wantVerdict(t, k.Send(0, nfqueuetest.Spec{}), nfqueue.Accept)
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestFaultAllRepliesToOpenLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFaulty(t)
		for range 100 {
			k.LoseReply(0)
		}
		_, err := k.Open(nfqueue.Config{})
		var op *nfqueue.OpError
		if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &op) || !op.Timeout() {
			t.Errorf("Open: %v", err)
		}
		if f := k.Send(0, nfqueuetest.Spec{}); f.Result().Cause != nfqueuetest.NotBound {
			t.Error("Open failed, but the queue is bound")
		}
	})
}

// The reply to a change waits while a handler blocks. The error names that cause too, and the
// change has its effect.
func TestFaultChangeBehindSlowHandler(t *testing.T) {
	for name, serve := range queuelab.Servers {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newFaulty(t)
				q := k.open(nfqueue.Config{Batch: 1, Fallback: nfqueue.Accept})
				block := make(chan struct{})
				ctx, cancel := context.WithCancel(t.Context())
				result := make(chan error)
				go func() {
					result <- serve(ctx, q, func(*nfqueue.Packet) nfqueue.Verdict {
						<-block
						return nfqueue.Accept
					})
				}()
				flights := k.send(10) // more than there is room for between the goroutines
				synctest.Wait()
				began := time.Now()
				err := q.SetMaxLen(1)
				if took := time.Since(began); !errors.Is(err, os.ErrDeadlineExceeded) ||
					!strings.Contains(err.Error(), "handler") || took != 2*time.Second {
					t.Errorf("SetMaxLen: %v after %v", err, took)
				}
				if f := k.send(1)[0]; f.Result().Cause != nfqueuetest.QueueFull {
					t.Errorf("the change was not made: %v", f.Result().Cause)
				}
				close(block)
				for _, f := range flights {
					wantVerdict(t, f, nfqueue.Accept)
				}
				cancel()
				if err := <-result; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// There is no wait for a reply that has been received.
func TestFaultRepliesAreTakenAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		for range 50 {
			newFaulty(t).open(nfqueue.Config{})
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("opening 50 queues took %v", took)
		}
	})
}

// Packets that arrive during the wait for a reply, also for one that is lost, are handled later.
func TestFaultPacketsDuringOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFaulty(t)
		k.LoseReply(0)
		opened := make(chan *nfqueue.Queue)
		go func() { opened <- k.open(nfqueue.Config{}) }()
		synctest.Wait() // for the reply that is lost
		flights := k.send(100)
		q := <-opened
		flights = append(flights, k.send(3)...)
		var ids []uint32
		s := queuelab.StartServing(q, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
			ids = append(ids, p.ID())
			return nfqueue.Accept
		}))
		for _, f := range flights {
			wantVerdict(t, f, nfqueue.Accept)
		}
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
		for i, id := range ids {
			if id != uint32(i+1) {
				t.Fatalf("order of ids: %v", ids)
			}
		}
		if got := q.Stats(); got.Received != 103 || got.Lost != 0 {
			t.Errorf("%+v", got)
		}
	})
}

func TestFaultReceiveFailsWithoutMemory(t *testing.T) {
	k := newFaulty(t)
	q := k.open(nfqueue.Config{})
	k.FailReceive(0, noBuffers)
	s := queuelab.StartServing(q, queuelab.Always(nfqueue.Accept))
	wantVerdict(t, k.Send(0, nfqueuetest.Spec{}), nfqueue.Accept)
	if got := q.Stats(); got.ReceiveErrors != 1 {
		t.Errorf("%+v", got)
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}

// While it lasts, other goroutines can run.
func TestFaultReceiveFailsForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const failures = 100
		k := newFaulty(t)
		q := k.open(nfqueue.Config{})
		for range failures {
			k.FailReceive(0, noBuffers)
		}
		began := time.Now()
		s := queuelab.StartServing(q, queuelab.Always(nfqueue.Accept))
		wantVerdict(t, k.Send(0, nfqueuetest.Spec{}), nfqueue.Accept)
		if took := time.Since(began); took < failures*5*time.Millisecond ||
			took > failures*15*time.Millisecond {
			t.Errorf("%d attempts took %v", failures, took)
		}
		// The next failure is the first of its kind.
		k.FailReceive(0, noBuffers)
		began = time.Now()
		wantVerdict(t, k.Send(0, nfqueuetest.Spec{}), nfqueue.Accept)
		if took := time.Since(began); took > time.Millisecond {
			t.Errorf("one attempt took %v", took)
		}
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
		if got := q.Stats(); got.ReceiveErrors != failures+1 {
			t.Errorf("%+v", got)
		}
	})
}

func TestFaultReceiveFails(t *testing.T) {
	k := newFaulty(t)
	q := k.open(nfqueue.Config{})
	cause := errors.New("broken socket")
	k.FailReceive(0, cause)
	if err := q.Serve(t.Context(), queuelab.Always(nfqueue.Accept)); !errors.Is(err, cause) {
		t.Errorf("Serve: %v", err)
	}
	// It may work again.
	s := queuelab.StartServing(q, queuelab.Always(nfqueue.Accept))
	wantVerdict(t, k.Send(0, nfqueuetest.Spec{}), nfqueue.Accept)
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}

func TestFaultOverrunIsCounted(t *testing.T) {
	k := newFaulty(t)
	q := k.open(nfqueue.Config{})
	flights := k.send(2)
	k.Overrun(0, 3)
	lost := k.send(3)
	flights = append(flights, k.send(2)...)
	s := queuelab.StartServing(q, queuelab.Always(nfqueue.Accept))
	for _, f := range flights {
		wantVerdict(t, f, nfqueue.Accept)
	}
	for _, f := range lost {
		if r := f.Result(); r.Cause != nfqueuetest.BufferFull || r.Passed {
			t.Errorf("%+v", r)
		}
	}
	if got := q.Stats(); got.Lost != 3 || got.Received != 4 || got.Kernel.UserDropped != 3 ||
		got.Kernel.LastID != 7 {
		t.Errorf("%+v, kernel %+v", got, got.Kernel)
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}

// Ids wrap around, with runs of equal verdicts, held packets and losses on both sides.
func TestFaultIDsWrapAround(t *testing.T) {
	for first := uint32(math.MaxUint32 - 11); first != 2; first++ {
		k := newFaulty(t)
		k.SetFirstID(first)
		q := k.open(nfqueue.Config{})
		d := queuelab.DeferIf(func(id uint32) bool { return id-first == 3 })
		s := queuelab.StartServing(q, d)
		flights := k.send(1)
		wantVerdict(t, flights[0], nfqueue.Accept)
		for q.Stats().Received == 0 {
			runtime.Gosched()
		}
		start := q.Stats().Lost // a kernel starts with 1
		flights = append(flights, k.send(5)...)
		k.Overrun(0, 2)
		lost := k.send(2)
		flights = append(flights, k.send(4)...)
		held := <-d.Held
		for i, f := range flights {
			if i != 3 {
				wantVerdict(t, f, nfqueue.Accept)
			}
		}
		wantWaiting(t, flights[3])
		if err := held.Resolve(nfqueue.Drop); err != nil {
			t.Error(err)
		}
		wantVerdict(t, flights[3], nfqueue.Drop)
		tail := k.send(5)
		for _, f := range tail {
			wantVerdict(t, f, nfqueue.Accept)
		}
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
		if got := q.Stats(); got.Lost-start != uint64(len(lost)) || got.TooLate != 0 {
			t.Errorf("from %d: %+v", int32(first), got)
		}
		for _, f := range lost {
			f.Result()
		}
	}
}

// One VERDICT_BATCH over the wrap-around.
func TestFaultBatchWrapsAround(t *testing.T) {
	k := newFaulty(t)
	k.SetFirstID(math.MaxUint32 - 2)
	q := k.open(nfqueue.Config{FlushAfter: time.Hour})
	flights := k.send(8)
	s := queuelab.StartServing(q, queuelab.Always(nfqueue.Accept))
	for _, f := range flights {
		if r := wantVerdict(t, f, nfqueue.Accept); !r.Hops[0].Batch {
			t.Errorf("%+v", r.Hops)
		}
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	if got := q.Stats(); got.Sends != 1 {
		t.Errorf("%d datagrams", got.Sends)
	}
}
