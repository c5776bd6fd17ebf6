// SPDX-License-Identifier: GPL-2.0-or-later

package fault_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/kernel"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
)

// methods are all methods of Queue that a callback might call. Those that would wait for the
// callback fail with the given error.
var methods = map[string]struct {
	call func(q *nfqueue.Queue) error
	want error
}{
	"Shutdown": {func(q *nfqueue.Queue) error { return q.Shutdown(context.Background()) },
		nfqueue.ErrInHandler},
	"Release": {func(q *nfqueue.Queue) error { return q.Release(context.Background()) },
		nfqueue.ErrInHandler},
	"SetMaxLen": {func(q *nfqueue.Queue) error { return q.SetMaxLen(0) }, nfqueue.ErrInHandler},
	"SetFlags":  {func(q *nfqueue.Queue) error { return q.SetFlags(0, 0) }, nfqueue.ErrInHandler},
	"SetCopy":   {func(q *nfqueue.Queue) error { return q.SetCopy(0, 0) }, nfqueue.ErrInHandler},
	"SetReadBuffer": {func(q *nfqueue.Queue) error { _, err := q.SetReadBuffer(1 << 20); return err },
		nil},
	"Stats":  {func(q *nfqueue.Queue) error { q.Stats(); return nil }, nil},
	"Number": {func(q *nfqueue.Queue) error { q.Number(); return nil }, nil},
	"File":   {func(q *nfqueue.Queue) error { _, err := q.File(); return err }, errors.ErrUnsupported},
	"Serve": {func(q *nfqueue.Queue) error {
		return q.Serve(context.Background(), queuelab.Always(nfqueue.Accept))
	}, nfqueue.ErrServing},
	"ServeFlows": {func(q *nfqueue.Queue) error {
		return q.ServeFlows(context.Background(), 2,
			queuelab.Alike(func(int, *nfqueue.Packet) nfqueue.Verdict {
				return nfqueue.Accept
			}))
	}, nfqueue.ErrServing},
}

// hook is a Logger that calls a function for each line.
type hook struct {
	slog.Handler
	line func()
}

func (h hook) Enabled(context.Context, slog.Level) bool      { return true }
func (h hook) Handle(context.Context, slog.Record) error     { h.line(); return nil }
func (h hook) WithAttrs([]slog.Attr) slog.Handler            { return h }
func serveOne(q *nfqueue.Queue, h nfqueue.HandlerFunc) error { return q.Serve(context.Background(), h) }
func serveWorkers(q *nfqueue.Queue, h nfqueue.HandlerFunc) error {
	return q.ServeFlows(context.Background(), 2, func(int) nfqueue.Handler { return h })
}

// Every method returns at once from every callback, and the packet gets its verdict.
func TestFaultMethodsInCallbacks(t *testing.T) {
	for where, c := range map[string]struct {
		serve   func(q *nfqueue.Queue, h nfqueue.HandlerFunc) error
		prepare func(cfg *nfqueue.Config, callback func())
		fault   func(k *faulty)
		handler func(callback func()) nfqueue.Verdict
		verdict nfqueue.Verdict
	}{
		"handler": {serve: serveOne, handler: func(callback func()) nfqueue.Verdict {
			callback()
			return nfqueue.Accept
		}, verdict: nfqueue.Accept},
		"handler of ServeFlows": {serve: serveWorkers, handler: func(callback func()) nfqueue.Verdict {
			callback()
			return nfqueue.Accept
		}, verdict: nfqueue.Accept},
		"OnPanic": {serve: serveOne, prepare: func(cfg *nfqueue.Config, callback func()) {
			cfg.OnPanic = func(*nfqueue.PanicError) { callback() }
		}, handler: func(func()) nfqueue.Verdict { panic("for OnPanic") }},
		"Logger, invalid verdict": {serve: serveOne, prepare: func(cfg *nfqueue.Config, callback func()) {
			cfg.Logger = slog.New(hook{line: callback})
		}, handler: func(func()) nfqueue.Verdict { return nfqueue.Deferred }},
		"Logger, no memory to send": {serve: serveOne,
			prepare: func(cfg *nfqueue.Config, callback func()) {
				cfg.Logger = slog.New(hook{line: callback})
			}, fault: func(k *faulty) { k.FailSend(0, noBuffers) },
			handler: func(func()) nfqueue.Verdict { return nfqueue.Accept }, verdict: nfqueue.Accept},
	} {
		for name, m := range methods {
			t.Run(where+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					k := newFaulty(t)
					var q *nfqueue.Queue
					var cfg nfqueue.Config
					var calls atomic.Int32
					callback := func() {
						began := time.Now()
						if err := m.call(q); !errors.Is(err, m.want) {
							t.Errorf("%v, want %v", err, m.want)
						}
						if took := time.Since(began); took != 0 {
							t.Errorf("it took %v", took)
						}
						calls.Add(1)
					}
					if c.prepare != nil {
						c.prepare(&cfg, callback)
					}
					q = k.open(cfg)
					if c.fault != nil {
						c.fault(k)
					}
					f := k.send(1)[0]
					served := make(chan error, 1)
					go func() {
						served <- c.serve(q, func(*nfqueue.Packet) nfqueue.Verdict { return c.handler(callback) })
					}()
					wantVerdict(t, f, c.verdict)
					if err := q.Shutdown(context.Background()); err != nil {
						t.Error(err)
					}
					if err := <-served; err != nil {
						t.Error(err)
					}
					if calls.Load() == 0 {
						t.Error("the callback was not called")
					}
				})
			})
		}
	}
}

// OnRefused is called by the goroutine that receives: Serve, or a change that waits for its
// reply while nobody serves.
func TestFaultMethodsInOnRefused(t *testing.T) {
	for reader, receive := range map[string]func(t *testing.T, q *nfqueue.Queue, k *faulty){
		"Serve": func(t *testing.T, q *nfqueue.Queue, k *faulty) {
			s := queuelab.StartServing(q, queuelab.Always(nfqueue.Accept))
			wantVerdict(t, k.send(1)[0], nfqueue.Accept)
			if err := s.Stop(); err != nil {
				t.Error(err)
			}
		},
		"SetMaxLen": func(t *testing.T, q *nfqueue.Queue, k *faulty) {
			if err := q.SetMaxLen(100); err != nil {
				t.Error(err)
			}
			if err := q.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
		},
	} {
		for name, m := range methods {
			t.Run(reader+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					k := newFaulty(t)
					var q *nfqueue.Queue
					calls := 0
					q = k.open(nfqueue.Config{OnRefused: func(*nfqueue.VerdictError) {
						calls++
						began := time.Now()
						if err := m.call(q); !errors.Is(err, m.want) {
							t.Errorf("%v, want %v", err, m.want)
						}
						if took := time.Since(began); took != 0 {
							t.Errorf("it took %v", took)
						}
					}})
					refused := k.send(2)
					k.RefuseVerdict(0, kernel.Error(kernel.EPERM))
					err := q.Serve(t.Context(), misbehave(func() { panic("so that Serve does not read the answer") }))
					if err == nil {
						t.Error("Serve has not ended with the panic")
					}
					receive(t, q, k)
					for _, f := range refused {
						<-f.Done()
						f.Result()
					}
					if calls != 1 {
						t.Errorf("%d calls", calls)
					}
				})
			})
		}
	}
}

// A Logger may call a method on a goroutine that serves nothing. It works, although the queue is
// sending when it logs.
func TestFaultChangeInLogger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFaulty(t)
		var q *nfqueue.Queue
		changed := make(chan error, 1)
		q = k.open(nfqueue.Config{Logger: slog.New(hook{line: func() { changed <- q.SetMaxLen(10) }})})
		f := k.send(1)[0]
		holding := make(chan *nfqueue.Held, 1)
		s := queuelab.StartServing(q, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
			holding <- p.Defer()
			return nfqueue.Deferred
		}))
		h := <-holding
		synctest.Wait()
		k.FailSend(0, noBuffers)
		if err := h.Resolve(nfqueue.Accept); err != nil {
			t.Error(err)
		}
		if err := <-changed; err != nil {
			t.Errorf("SetMaxLen: %v", err)
		}
		wantVerdict(t, f, nfqueue.Accept)
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
}

// A Logger that hears of a datagram that Resolve cannot send may end the queue: the packet that
// is being resolved is no longer held.
func TestFaultShutdownInLogger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const maxSend = 1000
		k := newFaulty(t)
		k.SetMaxSend(maxSend)
		var q *nfqueue.Queue
		logged, ended := make(chan struct{}), make(chan error, 1)
		q = k.open(nfqueue.Config{Logger: slog.New(hook{line: func() {
			close(logged)
			ended <- q.Shutdown(context.Background())
		}})})
		flights := k.send(3)
		var h *nfqueue.Held
		s := queuelab.StartServing(q, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
			switch p.ID() {
			case 1:
				h = p.Defer()
				return nfqueue.Deferred
			case 3: // the verdict of packet 2 leaves no room for that of packet 1
				k.FailSend(0, noBuffers)
				large := append(bytes.Clone(smallPacket), make([]byte, maxSend-100-len(smallPacket))...)
				if err := h.Packet().SetPayload(large); err != nil {
					t.Error(err)
				}
				go func() {
					if err := h.Resolve(nfqueue.Accept); err != nil {
						t.Error(err)
					}
				}()
				<-logged
			}
			return nfqueue.Accept
		}))
		if err := <-ended; err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
		wantVerdicts(t, flights, nfqueue.Accept, nfqueue.Accept, nfqueue.Accept)
	})
}

// Shutdown before Serve: the queue has ended on purpose, so Serve returns nil.
func TestFaultServeAfterShutdown(t *testing.T) {
	for name, end := range map[string]func(q *nfqueue.Queue) error{
		"Shutdown": func(q *nfqueue.Queue) error { return q.Shutdown(context.Background()) },
		"Release":  func(q *nfqueue.Queue) error { return q.Release(context.Background()) },
	} {
		t.Run(name, func(t *testing.T) {
			k := newFaulty(t)
			q := k.open(nfqueue.Config{Fallback: nfqueue.Accept})
			if err := end(q); err != nil {
				t.Error(err)
			}
			if err := q.Serve(context.Background(), queuelab.Always(nfqueue.Drop)); err != nil {
				t.Errorf("Serve: %v", err)
			}
		})
	}
	k := newFaulty(t)
	q := k.open(nfqueue.Config{})
	q.Close()
	if err := q.Serve(context.Background(), queuelab.Always(nfqueue.Drop)); !errors.Is(err,
		nfqueue.ErrClosed) {
		t.Errorf("Serve after Close: %v", err)
	}
}
