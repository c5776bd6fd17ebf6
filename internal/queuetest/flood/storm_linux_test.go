// SPDX-License-Identifier: GPL-2.0-or-later

package flood_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
)

// TestKernelFaultOpenCloseCycles opens, serves and ends a queue a hundred times in a flood.
func TestKernelFaultOpenCloseCycles(t *testing.T) {
	l := newLoopLab(t, netlab.Queue{Num: 1})
	flood := l.flood(2)
	effective := uint64(0)
	cycles := 100
	if testing.Short() {
		cycles = 20
	}
	for i := range cycles {
		s := l.serve(nfqueue.Config{}, queuelab.Marked)
		s.awaitHandled(20)
		if i%2 == 0 {
			effective += s.shutdown()
			continue
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := queuelab.WaitFor(t, s.result); !errors.Is(err, nfqueue.ErrClosed) {
			t.Errorf("Serve: %v", err)
		}
		effective += queuelab.Settled(t, s.Queue)
	}
	flood()
	if got := l.count(); got != effective {
		t.Errorf("%d datagrams have gone on, %d verdicts let them", got, effective)
	}
}

// TestKernelFaultRandomPanics: with OnPanic, and by calling Serve again.
func TestKernelFaultRandomPanics(t *testing.T) {
	for name, serve := range queuelab.Servers {
		for _, goOn := range []bool{true, false} {
			t.Run(name+map[bool]string{true: ", going on", false: ", served again"}[goOn],
				func(t *testing.T) {
					l := newLoopLab(t, netlab.Queue{Num: 1})
					cfg := nfqueue.Config{Queue: 1, Fallback: nfqueue.Accept}
					if goOn {
						cfg.OnPanic = func(*nfqueue.PanicError) {}
					}
					q := queuelab.Open(t, l.Host, cfg)
					ctx, cancel := context.WithCancel(context.Background())
					defer cancel()
					result := make(chan error, 1)
					go func() {
						for {
							err := serve(ctx, q, func(p *nfqueue.Packet) nfqueue.Verdict {
								if p.ID()%61 == 0 {
									panic("now and then")
								}
								return nfqueue.Accept
							})
							var p *nfqueue.PanicError
							if goOn || !errors.As(err, &p) {
								result <- err
								return
							}
							if ctx.Err() != nil { // of the last panic, which had been on its way
								result <- nil
								return
							}
						}
					}()
					flood := l.flood(2)
					panics := uint64(50)
					if testing.Short() {
						panics = 10
					}
					await(t, "handlers have panicked", func() bool { return q.Stats().Fallback.Panic >= panics })
					sent := flood()
					await(t, "all are decided", func() bool { return q.Stats().Verdicts() == sent })
					cancel()
					if err := queuelab.WaitFor(t, result); err != nil {
						t.Error(err)
					}
					if effective := queuelab.Settled(t, q); effective != sent || l.count() != sent {
						t.Errorf("%d datagrams were sent, %d have gone on: %+v", sent, l.count(), q.Stats())
					}
				})
		}
	}
}

// TestKernelFaultResolveStorm defers most packets and resolves them from many goroutines.
func TestKernelFaultResolveStorm(t *testing.T) {
	l := newLoopLab(t, netlab.Queue{Num: 1})
	d := queuelab.DeferIf(func(id uint32) bool { return id%5 != 0 })
	s := l.serve(nfqueue.Config{MaxLen: 1 << 14}, d.ServePacket) // all that the sockets let out
	var storm sync.WaitGroup
	for range 32 {
		storm.Go(func() {
			for h := range d.Held {
				if err := h.Resolve(nfqueue.Accept); err != nil {
					t.Error(err)
				}
			}
		})
	}
	flood := l.flood(4)
	enough := uint64(20_000)
	if testing.Short() {
		enough = 2000
	}
	s.awaitHandled(enough)
	sent := flood()
	effective := s.shutdown()
	close(d.Held)
	storm.Wait()
	if st := s.Stats(); effective != sent || st.Deferred < sent/2 || l.count() != sent {
		t.Errorf("%d datagrams were sent, %d have gone on: %+v", sent, l.count(), st)
	}
}
