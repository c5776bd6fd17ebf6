// SPDX-License-Identifier: GPL-2.0-or-later

package fault_test

import (
	"context"
	"errors"
	"io/fs"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/bridge"
	"github.com/chifflier/nfqueue-go/internal/fakekernel"
	"github.com/chifflier/nfqueue-go/internal/kernel"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
)

// These tests check how Stats counts verdicts without effect. Like all tests with a faulty kernel
// they end with an audit.

// If another socket owns the queue the kernel answers each verdict with an error. Stats counts each
// once.
func TestFaultQueueTakenUnderneath(t *testing.T) {
	k := fakekernel.New()
	thief := k.Dial()
	defer thief.Close()
	var flights []*fakekernel.Flight
	stolen := false
	q, _ := openGate(t, k, nfqueue.Config{FlushAfter: time.Hour}, func([][]byte) {
		if !stolen && flights != nil {
			stolen = true
			k.Steal(0, thief)
		}
	})
	const packets = 9
	for range packets {
		flights = append(flights, k.Send(fakekernel.Rule{},
			fakekernel.Packet{Family: 2, Payload: smallPacket}))
	}
	s := queuelab.StartServing(q, oddDropped)
	for q.Stats().Refused == 0 {
		runtime.Gosched()
	}
	s.Cancel()
	if err := <-s.Result; !errors.Is(err, fs.ErrPermission) {
		t.Errorf("Serve: %v", err)
	}
	if got := q.Stats(); got.Refused != packets || got.Verdicts() != packets {
		t.Errorf("%+v", got)
	}
	for _, f := range flights {
		<-f.Done()
	}
}

// A batch whose packets are all gone has no effect, for however many packets it was.
func TestFaultBatchGone(t *testing.T) {
	const packets = 20
	k := newFaulty(t)
	told := make(queuelab.Refusals, 1)
	q := k.open(nfqueue.Config{FlushAfter: time.Hour, OnRefused: told.Add})
	flights := k.send(packets)
	s := queuelab.StartServing(q, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		if p.ID() == packets {
			k.Flush()
		}
		return nfqueue.Accept
	}))
	if e := <-told; e.ID != packets || e.Verdicts != packets || !errors.Is(e, fs.ErrNotExist) {
		t.Errorf("told of %v", e)
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	if got := q.Stats(); got.TooLate != packets || got.Accepted != packets {
		t.Errorf("%+v", got)
	}
	for _, f := range flights {
		if r := f.Result(); r.Cause != nfqueuetest.Flushed {
			t.Errorf("%v: %v", f, r.Cause)
		}
	}
}

// Shutdown reads the kernel's errors for the last verdicts.
func TestFaultAnswersAreReadByShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFaulty(t)
		q := k.open(nfqueue.Config{})
		d := queuelab.DeferIf(every)
		s := queuelab.StartServing(q, d)
		f := k.send(1)[0]
		held := <-d.Held
		s.Cancel()
		synctest.Wait() // for Serve to wait for the one that is held
		k.Flush()
		if err := held.Resolve(nfqueue.Accept); err != nil {
			t.Error(err)
		}
		if err := <-s.Result; err != nil {
			t.Error(err)
		}
		f.Result()
		if got := q.Stats(); got.TooLate != 1 {
			t.Errorf("%+v", got)
		}
	})
}

// Verdicts after Close are never sent.
func TestFaultVerdictsAfterClose(t *testing.T) {
	k := newFaulty(t)
	q := k.open(nfqueue.Config{FlushAfter: time.Hour})
	flights := k.send(9)
	err := q.Serve(t.Context(), nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		if p.ID() == 5 {
			q.Close()
		}
		return nfqueue.Accept
	}))
	if !errors.Is(err, nfqueue.ErrClosed) {
		t.Errorf("Serve: %v", err)
	}
	if got := q.Stats(); got.Received != 9 || got.Accepted != 5 || got.Unsent != 5 ||
		got.Abandoned != 4 {
		t.Errorf("%+v", got)
	}
	for _, f := range flights {
		f.Result()
	}
}

// After Close held packets cannot be decided.
func TestFaultHeldAreAbandonedByClose(t *testing.T) {
	k := newFaulty(t)
	q := k.open(nfqueue.Config{})
	d := queuelab.DeferIf(every)
	s := queuelab.StartServing(q, d)
	flights := k.send(3)
	first, second := <-d.Held, <-d.Held
	<-d.Held // forgotten
	if err := first.Resolve(nfqueue.Accept); err != nil {
		t.Error(err)
	}
	wantVerdict(t, flights[0], nfqueue.Accept)
	q.Close()
	if err := first.Resolve(nfqueue.Accept); !errors.Is(err, nfqueue.ErrResolved) {
		t.Errorf("Resolve of what was resolved before Close: %v", err)
	}
	for range 2 {
		if err := second.Resolve(nfqueue.Accept); !errors.Is(err, nfqueue.ErrClosed) {
			t.Errorf("Resolve after Close: %v", err)
		}
	}
	<-s.Result
	if got := q.Stats(); got.Abandoned != 2 || got.Held != 0 || got.Accepted != 1 {
		t.Errorf("%+v", got)
	}
	for _, f := range flights[1:] {
		f.Result()
	}
}

// A handler that has closed the queue may still defer its packet.
func TestFaultDeferAfterClose(t *testing.T) {
	for _, v := range []nfqueue.Verdict{nfqueue.Deferred, nfqueue.Accept} {
		k := newFaulty(t)
		q := k.open(nfqueue.Config{})
		f := k.Send(0, nfqueuetest.Spec{})
		_ = q.Serve(t.Context(), nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
			q.Close()
			if err := p.Defer().Resolve(nfqueue.Accept); !errors.Is(err, nfqueue.ErrClosed) {
				t.Errorf("Resolve: %v", err)
			}
			return v
		}))
		if got := q.Stats(); got.Abandoned != 1 || got.AlreadyResolved != 0 {
			t.Errorf("%+v", got)
		}
		f.Result()
	}
}

// The counters balance while handlers block, and say where the packets are: that is when an
// operator looks at them.
func TestFaultBooksWhileHandlersBlock(t *testing.T) {
	for name, serve := range queuelab.Servers {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newFaulty(t)
				q := k.open(nfqueue.Config{})
				flights := k.send(3)
				k.Overrun(0, 2)
				flights = append(flights, k.send(2)...) // lost
				flights = append(flights, k.send(4)...)
				block := make(chan struct{})
				ctx, cancel := context.WithCancel(context.Background())
				result := make(chan error)
				go func() {
					result <- serve(ctx, q, func(p *nfqueue.Packet) nfqueue.Verdict {
						switch p.ID() {
						case 1:
							p.Defer()
							return nfqueue.Deferred
						case 2:
							return nfqueue.Drop
						}
						<-block
						return nfqueue.Accept
					})
				}()
				wantVerdict(t, flights[1], nfqueue.Drop)
				got := q.Stats()
				if got.Received != 7 || got.Held != 1 || got.Dropped != 1 || got.Verdicts() != 1 ||
					got.Undecided() != 5 {
					t.Errorf("%+v", got)
				}
				if uint64(got.Kernel.LastID) != got.Received+got.Lost {
					t.Errorf("received %d, lost %d of %d", got.Received, got.Lost, got.Kernel.LastID)
				}
				close(block)
				cancel()
				if err := <-result; err != nil {
					t.Error(err)
				}
				for _, f := range flights {
					f.Result()
				}
			})
		})
	}
}

// A verdict may be overruled while the handler of a later packet blocks. It is then counted as the
// new one, and no counter falls below 0.
func TestFaultOverruledWhileHandlerBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFaulty(t)
		k.SetMaxSend(1000)
		q := k.open(nfqueue.Config{Fallback: nfqueue.Drop})
		flights := k.send(2)
		block := make(chan struct{})
		s := queuelab.StartServing(q, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
			if p.ID() == 2 {
				<-block
			} else if err := p.SetPayload(append(p.Payload(), make([]byte, 1000)...)); err != nil {
				t.Error(err)
			}
			return nfqueue.Accept
		}))
		wantVerdict(t, flights[0], nfqueue.Drop)
		if got := q.Stats(); got.Accepted != 0 || got.Dropped != 1 || got.Fallback.Send != 1 ||
			got.Undecided() != 1 {
			t.Errorf("%+v", got)
		}
		close(block)
		wantVerdict(t, flights[1], nfqueue.Accept)
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
}

// Packets that were received while no Serve ran, or that a panic left over, wait for the next
// Serve. When the queue is closed they count as abandoned.
func TestFaultLeftIsAbandonedByClose(t *testing.T) {
	for name, leave := range map[string]func(*testing.T, *nfqueue.Queue){
		"read with a reply": func(t *testing.T, q *nfqueue.Queue) {
			if err := q.SetMaxLen(1000); err != nil {
				t.Error(err)
			}
		},
		"panic": func(t *testing.T, q *nfqueue.Queue) {
			var p *nfqueue.PanicError
			if err := q.Serve(t.Context(), misbehave(func() { panic("and never served again") })); !errors.As(err, &p) {
				t.Errorf("Serve: %v", err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			const packets = 9
			k := newFaulty(t)
			q := k.open(nfqueue.Config{})
			flights := k.send(packets)
			leave(t, q)
			s := q.Stats()
			if s.Received != packets || s.Undecided() != packets-s.Verdicts() {
				t.Errorf("%+v", s)
			}
			q.Close()
			if got := q.Stats(); got.Abandoned != s.Undecided() || got.Undecided() != 0 {
				t.Errorf("%+v", got)
			}
			for _, f := range flights {
				f.Result()
			}
		})
	}
}

// So do those that one Serve leaves over while another goroutine waits to serve.
func TestFaultLeftIsAbandonedToWaiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFaulty(t)
		q := k.open(nfqueue.Config{})
		flights := k.send(9)
		closed := make(chan struct{})
		s := queuelab.StartServing(q, nfqueue.HandlerFunc(func(*nfqueue.Packet) nfqueue.Verdict {
			<-closed
			return nfqueue.Accept
		}))
		synctest.Wait()
		q.Close()
		awaited := make(chan error, 1)
		go func() { awaited <- bridge.AwaitServe(t.Context(), q) }()
		synctest.Wait()
		close(closed)
		if err := <-awaited; err != nil {
			t.Error(err)
		}
		if err := <-s.Result; !errors.Is(err, nfqueue.ErrClosed) {
			t.Errorf("Serve: %v", err)
		}
		if got := q.Stats(); got.Abandoned != 8 {
			t.Errorf("%+v", got)
		}
		for _, f := range flights {
			f.Result()
		}
	})
}

// Packets that wait for workers when the queue is closed are counted, and those that a worker with
// a panic has left over.
func TestFaultFlowsAbandonedByClose(t *testing.T) {
	t.Run("waiting", func(t *testing.T) {
		k := newFaulty(t)
		q := k.open(nfqueue.Config{})
		flights := k.send(200)
		err := q.ServeFlows(t.Context(), 2, queuelab.Alike(func(_ int,
			p *nfqueue.Packet) nfqueue.Verdict {
			if p.ID() == 3 {
				for q.Stats().Received < 100 {
					runtime.Gosched()
				}
				q.Close()
			}
			return nfqueue.Accept
		}))
		if !errors.Is(err, nfqueue.ErrClosed) {
			t.Errorf("ServeFlows: %v", err)
		}
		if got := q.Stats(); got.Abandoned < 50 {
			t.Errorf("%+v", got)
		}
		for _, f := range flights {
			f.Result()
		}
	})
	t.Run("left by a panic", func(t *testing.T) {
		k := newFaulty(t)
		q := k.open(nfqueue.Config{})
		flights := k.send(50)
		var p *nfqueue.PanicError
		if err := q.ServeFlows(t.Context(), 2, queuelab.Alike(func(_ int,
			p *nfqueue.Packet) nfqueue.Verdict {
			if p.ID() == 3 {
				panic("and never served again")
			}
			return nfqueue.Accept
		})); !errors.As(err, &p) {
			t.Errorf("ServeFlows: %v", err)
		}
		if got := q.Stats(); got.Undecided() != 47 || got.Dropped != 1 {
			t.Errorf("%+v", got)
		}
		q.Close()
		if got := q.Stats(); got.Abandoned != 47 {
			t.Errorf("%+v", got)
		}
		for _, f := range flights {
			f.Result()
		}
	})
}

// The kernel has no memory for a while. The queue gives up no verdict before it has some again.
func TestFaultSendFailsForAWhile(t *testing.T) {
	for name, err := range map[string]error{"ENOBUFS": noBuffers,
		"EAGAIN": kernel.Error(kernel.EAGAIN)} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newFaulty(t)
				q := k.open(nfqueue.Config{})
				flights := k.send(4)
				for range 1 + 9 { // together, then all attempts for the first but one
					k.FailSend(0, err)
				}
				began := time.Now()
				s := queuelab.StartServing(q, oddDropped)
				wantVerdicts(t, flights, nfqueue.Drop, nfqueue.Accept, nfqueue.Drop, nfqueue.Accept)
				if took := time.Since(began); took < 4*time.Millisecond || took > time.Second {
					t.Errorf("nine attempts took %v", took)
				}
				if err := s.Stop(); err != nil {
					t.Error(err)
				}
				if got := q.Stats(); got.Unsent != 0 {
					t.Errorf("%+v", got)
				}
			})
		})
	}
}

// A socket that was closed underneath the queue fails for good.
func TestFaultSocketBroken(t *testing.T) {
	broken := errors.New("bad file descriptor")
	k := newFaulty(t)
	q := k.open(nfqueue.Config{})
	flights := k.send(4)
	err := q.Serve(t.Context(), nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		for range 100 {
			k.FailSend(0, broken)
		}
		k.FailReceive(0, broken)
		return verdictFor(p.ID())
	}))
	if !errors.Is(err, broken) {
		t.Errorf("Serve: %v", err)
	}
	q.Close()
	if got := q.Stats(); got.Unsent != 4 {
		t.Errorf("%+v", got)
	}
	for _, f := range flights {
		f.Result()
	}
}
