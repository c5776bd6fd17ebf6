// SPDX-License-Identifier: GPL-2.0-or-later

package fault_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/fakekernel"
	"github.com/chifflier/nfqueue-go/internal/nlwire"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
)

func TestFaultShutdownWithoutServe(t *testing.T) {
	for _, fallback := range []nfqueue.Verdict{nfqueue.Drop, nfqueue.Accept} {
		k := newFaulty(t)
		q := k.open(nfqueue.Config{Fallback: fallback})
		flights := k.send(200)
		if err := q.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		for _, f := range flights {
			wantVerdict(t, f, fallback)
		}
		if got := q.Stats(); got.Fallback.Shutdown != 200 {
			t.Errorf("%+v", got)
		}
	}
}

// If the reply to the request that stops new packets is lost, Shutdown asks again.
func TestFaultLostReplyToShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFaulty(t)
		q := k.open(nfqueue.Config{})
		flights := k.send(3)
		k.LoseReply(0)
		if err := q.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		wantVerdicts(t, flights, nfqueue.Drop, nfqueue.Drop, nfqueue.Drop)
	})
}

// Fail-open is set before the maximum length: within one message the kernel would set the length
// first, and packets on other processors could arrive in between.
func TestFaultShutdownFallsBackFirst(t *testing.T) {
	const header, maxLen, mask, flags = 16 + 4, 3, 4, 5 // NFQA_CFG_*
	for fallback, want := range map[nfqueue.Verdict]byte{nfqueue.Drop: 0, nfqueue.Accept: 1} {
		var got []string
		q, _ := openGate(t, fakekernel.New(), nfqueue.Config{Fallback: fallback}, func(pieces [][]byte) {
			for rest := bytes.Join(pieces, nil); len(rest) > 0; {
				msg, next, ok := nlwire.Next(rest)
				if !ok {
					t.Fatalf("no message in %x", rest)
				}
				var sets []string
				for attrs := msg[header:]; ; {
					typ, data, after, ok := nlwire.NextAttr(attrs)
					if !ok {
						break
					}
					sets = append(sets, fmt.Sprintf("%d=%x", typ, data))
					attrs = after
				}
				got = append(got, strings.Join(sets, " "))
				rest = next
			}
		})
		if err := q.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		wanted := []string{fmt.Sprintf("%d=0000000%d %d=00000001", flags, want, mask),
			fmt.Sprintf("%d=00000000", maxLen)}
		// A second request brings the answers to the last verdicts.
		if wanted = slices.Repeat(wanted, 2); !slices.Equal(got, wanted) {
			t.Errorf("Fallback %v: sent %q, want %q", fallback, got, wanted)
		}
	}
}

func TestFaultShutdownWhileHandlerBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFaulty(t)
		q := k.open(nfqueue.Config{})
		block := make(chan struct{})
		unblock := sync.OnceFunc(func() { close(block) })
		defer unblock()
		s := queuelab.StartServing(q, nfqueue.HandlerFunc(func(*nfqueue.Packet) nfqueue.Verdict {
			<-block
			return nfqueue.Accept
		}))
		f := k.Send(0, nfqueuetest.Spec{})
		synctest.Wait()
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if err := q.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown: %v", err)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("Shutdown took %v", took)
		}
		if r := f.Result(); r.Cause != nfqueuetest.Closed {
			t.Errorf("%+v", r)
		}
		unblock()
		if err := <-s.Result; !errors.Is(err, nfqueue.ErrClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
}

// Shutdown waits for a slow handler, and its verdict counts.
func TestFaultShutdownWaitsForHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFaulty(t)
		q := k.open(nfqueue.Config{})
		s := queuelab.StartServing(q, nfqueue.HandlerFunc(func(*nfqueue.Packet) nfqueue.Verdict {
			time.Sleep(time.Second)
			return nfqueue.Accept
		}))
		flights := k.send(5)
		synctest.Wait()
		if err := q.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		for _, f := range flights {
			wantVerdict(t, f, nfqueue.Accept)
		}
		if err := <-s.Result; err != nil {
			t.Error(err)
		}
	})
}

func TestFaultShutdownWaitsForHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFaulty(t)
		q := k.open(nfqueue.Config{})
		d := queuelab.DeferIf(every)
		s := queuelab.StartServing(q, d)
		f := k.Send(0, nfqueuetest.Spec{})
		held := <-d.Held
		time.AfterFunc(time.Minute, func() {
			if err := held.Resolve(nfqueue.Accept); err != nil {
				t.Error(err)
			}
		})
		if err := q.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		wantVerdict(t, f, nfqueue.Accept)
		if err := <-s.Result; err != nil {
			t.Error(err)
		}
	})
}

// However a queue ends, held packets get the Fallback when their time is up.
func TestFaultHeldGetFallbackAtTheEnd(t *testing.T) {
	short := func(ctx context.Context, q *nfqueue.Queue) error {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		return q.Shutdown(ctx)
	}
	for name, end := range map[string]func(t *testing.T, q *nfqueue.Queue, s *queuelab.Serving) error{
		"Shutdown": func(t *testing.T, q *nfqueue.Queue, s *queuelab.Serving) error { return short(t.Context(), q) },
		"context":  func(t *testing.T, q *nfqueue.Queue, s *queuelab.Serving) error { return s.Stop() },
		// A second call with less time.
		"context, then Shutdown": func(t *testing.T, q *nfqueue.Queue, s *queuelab.Serving) error {
			s.Cancel()
			synctest.Wait()
			return short(t.Context(), q)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newFaulty(t)
				q := k.open(nfqueue.Config{Fallback: nfqueue.Accept, DrainTimeout: 3 * time.Second})
				d := queuelab.DeferIf(every)
				s := queuelab.StartServing(q, d)
				f := k.Send(0, nfqueuetest.Spec{})
				held := <-d.Held
				if err := end(t, q, s); err != nil {
					t.Logf("end: %v", err)
				}
				wantVerdict(t, f, nfqueue.Accept)
				if err := held.Resolve(nfqueue.Drop); !errors.Is(err, nfqueue.ErrResolved) {
					t.Errorf("Resolve: %v", err)
				}
				q.Close()
			})
		})
	}
}

// New packets pass with the Fallback Accept and are dropped with Drop, with any flags of the queue.
func TestFaultNewPacketsDuringShutdown(t *testing.T) {
	for _, fallback := range []nfqueue.Verdict{nfqueue.Drop, nfqueue.Accept} {
		for _, flags := range []nfqueue.Flags{0, nfqueue.FailOpen} {
			t.Run(fallback.String()+" "+flags.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					k := newFaulty(t)
					q := k.open(nfqueue.Config{Fallback: fallback, Flags: flags})
					d := queuelab.DeferIf(every)
					s := queuelab.StartServing(q, d)
					k.Send(0, nfqueuetest.Spec{})
					held := <-d.Held
					s.Cancel()
					synctest.Wait() // for the drain to wait for the held one
					r := k.Send(0, nfqueuetest.Spec{}).Result()
					if len(r.Hops) != 0 || r.Cause != nfqueuetest.QueueFull ||
						r.Passed != (fallback == nfqueue.Accept) {
						t.Errorf("%+v", r)
					}
					if err := held.Resolve(nfqueue.Accept); err != nil {
						t.Error(err)
					}
					if err := <-s.Result; err != nil {
						t.Error(err)
					}
				})
			})
		}
	}
}

// A change that is too late must not make the kernel queue packets again, whether it is made while
// the queue ends or was under way.
func TestFaultChangesDuringShutdown(t *testing.T) {
	for name, change := range map[string]func(k *faulty, q *nfqueue.Queue) (shutdown,
		change <-chan error){
		"later": func(_ *faulty, q *nfqueue.Queue) (shutdown, change <-chan error) {
			shutdown = result(func() error { return q.Shutdown(context.Background()) })
			synctest.Wait() // for it to wait for the held packet
			return shutdown, result(func() error { return q.SetMaxLen(100) })
		},
		"to be sent again": func(k *faulty, q *nfqueue.Queue) (shutdown, change <-chan error) {
			k.LoseReply(0)
			change = result(func() error { return q.SetMaxLen(100) })
			synctest.Wait()
			return result(func() error { return q.Shutdown(context.Background()) }), change
		},
		"with Release": func(_ *faulty, q *nfqueue.Queue) (shutdown, change <-chan error) {
			shutdown = result(func() error { return q.Release(context.Background()) })
			synctest.Wait()
			return shutdown, result(func() error { return q.SetMaxLen(nfqueue.MaxLenNone) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newFaulty(t)
				q := k.open(nfqueue.Config{Fallback: nfqueue.Accept})
				d := queuelab.DeferIf(every)
				s := queuelab.StartServing(q, d)
				first := k.send(1)[0]
				held := <-d.Held
				ended, changed := change(k, q)
				if err := <-changed; !errors.Is(err, nfqueue.ErrClosed) {
					t.Errorf("SetMaxLen: %v", err)
				}
				select {
				case err := <-ended:
					t.Errorf("did not wait for the held packet: %v", err)
				default:
				}
				if second := k.send(1)[0]; name != "with Release" {
					if r := second.Result(); r.Cause != nfqueuetest.QueueFull || !r.Passed {
						t.Errorf("%+v", r)
					}
				} else {
					wantWaiting(t, second)
				}
				if err := held.Resolve(nfqueue.Accept); err != nil {
					t.Error(err)
				}
				if err := errors.Join(<-ended, <-s.Result); err != nil {
					t.Error(err)
				}
				wantVerdict(t, first, nfqueue.Accept)
			})
		})
	}
}

// result calls f on another goroutine.
func result(f func() error) <-chan error {
	c := make(chan error, 1)
	go func() { c <- f() }()
	return c
}

func TestFaultServeWithEndedContextDrains(t *testing.T) {
	k := newFaulty(t)
	q := k.open(nfqueue.Config{})
	flights := k.send(200)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := q.Serve(ctx, queuelab.Always(nfqueue.Accept)); err != nil {
		t.Error(err)
	}
	for _, f := range flights {
		wantVerdict(t, f, nfqueue.Accept)
	}
}

// If a handler needs longer than the drain may take, the remaining packets get the Fallback.
func TestFaultDrainTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFaulty(t)
		q := k.open(nfqueue.Config{Fallback: nfqueue.Accept, DrainTimeout: 3500 * time.Millisecond,
			Batch: 2})
		flights := k.send(9)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := q.Serve(ctx, nfqueue.HandlerFunc(func(*nfqueue.Packet) nfqueue.Verdict {
			time.Sleep(time.Second)
			return nfqueue.Drop
		}))
		if err != nil {
			t.Error(err)
		}
		for i, f := range flights {
			want := nfqueue.Drop
			if i >= 4 {
				want = nfqueue.Accept
			}
			wantVerdict(t, f, want)
		}
	})
}

// The time for handlers ends in the middle of a batch: handlers that return lose no packet, and
// none is called again.
func TestFaultNoTimeForBatch(t *testing.T) {
	const limit, work = 1030 * time.Millisecond, 50 * time.Millisecond
	for name, end := range map[string]func(t *testing.T, q *nfqueue.Queue, cancel func()) error{
		"Shutdown": func(t *testing.T, q *nfqueue.Queue, _ func()) error {
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			return q.Shutdown(ctx)
		},
		"context": func(t *testing.T, q *nfqueue.Queue, cancel func()) error {
			cancel()
			return nil
		},
		// The end of the context does not cut Shutdown short.
		"Shutdown, then context": func(t *testing.T, q *nfqueue.Queue, cancel func()) error {
			ctx, stop := context.WithTimeout(t.Context(), limit+limit/2)
			defer stop()
			time.AfterFunc(limit/3, cancel)
			return q.Shutdown(ctx)
		},
		"context, then Shutdown": func(t *testing.T, q *nfqueue.Queue, cancel func()) error {
			cancel()
			ctx, stop := context.WithTimeout(t.Context(), limit/2)
			defer stop()
			return q.Shutdown(ctx)
		},
	} {
		allowed := map[string]time.Duration{"Shutdown, then context": limit + limit/2,
			"context, then Shutdown": limit / 2}[name]
		if allowed == 0 {
			allowed = limit
		}
		for server, serve := range queuelab.Servers {
			t.Run(name+" "+server, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					k := newFaulty(t)
					q := k.open(nfqueue.Config{Fallback: nfqueue.Accept, DrainTimeout: limit})
					flights := k.send(900) // more than ServeFlows has room for
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					served := make(chan error, 1)
					var calls int
					go func() {
						served <- serve(ctx, q, func(*nfqueue.Packet) nfqueue.Verdict {
							calls++ // one flow, so one goroutine
							time.Sleep(work)
							return nfqueue.Drop
						})
					}()
					synctest.Wait()
					began := time.Now()
					if err := end(t, q, cancel); err != nil {
						t.Error(err)
					}
					if err := <-served; err != nil {
						t.Error(err)
					}
					if took := time.Since(began); took < allowed || took > allowed+work {
						t.Errorf("ended after %v with a limit of %v", took, allowed)
					}
					if want := int(allowed/work) + 1; calls != want {
						t.Errorf("%d calls of the handler, want %d", calls, want)
					}
					for i, f := range flights {
						want := nfqueue.Accept
						if i < calls {
							want = nfqueue.Drop
						}
						wantVerdict(t, f, want)
					}
					if got := q.Stats().Fallback.Shutdown; got != uint64(len(flights)-calls) {
						t.Errorf("%d packets have been given the Fallback", got)
					}
				})
			})
		}
	}
}
