// SPDX-License-Identifier: GPL-2.0-or-later

package fault_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/ippkt"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
)

// With OnPanic a handler may panic again and again. Every packet gets its verdict, in the right
// order, and no packet is handled twice.
func TestFaultGoOnAfterPanics(t *testing.T) {
	for name, serve := range queuelab.Servers {
		t.Run(name, func(t *testing.T) {
			const packets = 1000
			k := newFaulty(t)
			var told, called atomic.Uint64
			q := k.open(nfqueue.Config{Fallback: nfqueue.Accept, OnPanic: func(p *nfqueue.PanicError) {
				told.Add(1)
				if !bytes.Contains(p.Stack, []byte("TestFaultGoOnAfterPanics")) {
					t.Errorf("stack of another: %s", p.Stack)
				}
			}})
			ctx, cancel := context.WithCancel(t.Context())
			result := make(chan error)
			go func() {
				result <- serve(ctx, q, func(p *nfqueue.Packet) nfqueue.Verdict {
					called.Add(1)
					switch p.ID() % 7 {
					case 3:
						panic(p.ID())
					case 5:
						p.Defer()
						panic("after Defer")
					}
					return nfqueue.Drop
				})
			}()
			flights := k.send(packets)
			want := uint64(0)
			for i, f := range flights {
				v := nfqueue.Drop
				if id := (i + 1) % 7; id == 3 || id == 5 {
					v = nfqueue.Accept
					want++
				}
				wantVerdict(t, f, v)
			}
			cancel()
			if err := <-result; err != nil {
				t.Error(err)
			}
			if got := q.Stats(); got.Fallback.Panic != want || told.Load() != want ||
				called.Load() != packets {
				t.Errorf("%d panics counted, told of %d, want %d; called %d times", got.Fallback.Panic,
					told.Load(), want, called.Load())
			}
		})
	}
}

// Also while the queue is drained.
func TestFaultGoOnAfterPanicWhileDraining(t *testing.T) {
	for name, serve := range queuelab.Servers {
		t.Run(name, func(t *testing.T) {
			k := newFaulty(t)
			q := k.open(nfqueue.Config{Fallback: nfqueue.Accept, OnPanic: func(*nfqueue.PanicError) {}})
			flights := k.send(200)
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := serve(ctx, q, func(p *nfqueue.Packet) nfqueue.Verdict {
				if p.ID() == 100 {
					panic("while draining")
				}
				return nfqueue.Drop
			}); err != nil {
				t.Error(err)
			}
			for i, f := range flights {
				want := nfqueue.Drop
				if i == 99 {
					want = nfqueue.Accept
				}
				wantVerdict(t, f, want)
			}
		})
	}
}

// A goroutine that has ended cannot go on.
func TestFaultGoexitEndsServe(t *testing.T) {
	k := newFaulty(t)
	q := k.open(nfqueue.Config{OnPanic: func(*nfqueue.PanicError) { t.Error("OnPanic was called") }})
	flights := k.send(2)
	s := queuelab.StartServing(q, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		runtime.Goexit()
		return nfqueue.Accept
	}))
	if err, returned := <-s.Result; returned {
		t.Errorf("Serve returned: %v", err)
	}
	wantVerdict(t, flights[0], nfqueue.Drop)
	s = queuelab.StartServing(q, queuelab.Always(nfqueue.Accept))
	wantVerdict(t, flights[1], nfqueue.Accept)
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}

// If one of several workers ends, nobody serves its flows, so the others must stop too.
func TestFaultGoexitEndsServeFlows(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	k := newFaulty(t)
	q := k.open(nfqueue.Config{OnPanic: func(*nfqueue.PanicError) {
		t.Error("OnPanic was called")
		cancel()
	}})
	flights := k.send(3)
	err := queuelab.Servers["ServeFlows"](ctx, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		if p.ID() == 2 {
			runtime.Goexit()
		}
		return nfqueue.Accept
	})
	var ended *nfqueue.PanicError
	if !errors.As(err, &ended) || ended.Value != nil {
		t.Errorf("ServeFlows: %v", err)
	}
	s := queuelab.StartServing(q, queuelab.Always(nfqueue.Accept))
	wantVerdicts(t, flights, nfqueue.Accept, nfqueue.Drop, nfqueue.Accept)
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}

// If OnPanic does not return, Serve ends, and the queue can be served again.
func TestFaultOnPanicDoesNotReturn(t *testing.T) {
	for name, serve := range queuelab.Servers {
		for way, leave := range map[string]func(){
			"panic":  func() { panic("mine") },
			"Goexit": runtime.Goexit,
		} {
			t.Run(name+" "+way, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					const packets = 1000 // more than slots
					k := newFaulty(t)
					q := k.open(nfqueue.Config{OnPanic: func(*nfqueue.PanicError) { leave() }})
					flights := k.send(packets)
					ended := make(chan error, 1)
					go func() {
						var err error
						defer func() {
							if v := recover(); v != nil {
								err = fmt.Errorf("it panics with %v", v)
							}
							ended <- err
						}()
						err = serve(context.Background(), q, func(p *nfqueue.Packet) nfqueue.Verdict {
							if p.ID() == 2 {
								panic("so that it is called")
							}
							return nfqueue.Accept
						})
					}()
					err := <-ended
					if told := err != nil && strings.Contains(err.Error(), "mine"); told != (way == "panic") {
						t.Errorf("%v", err)
					}
					s := queuelab.StartServing(q, queuelab.Always(nfqueue.Accept))
					for i, f := range flights {
						want := nfqueue.Accept
						if i == 1 {
							want = nfqueue.Drop
						}
						wantVerdict(t, f, want)
					}
					if err := s.Stop(); err != nil {
						t.Error(err)
					}
				})
			})
		}
	}
}

// The next Serve first handles the packets that workers have left over, in the order of ids.
// Otherwise a batch would decide packets that it handles later.
func TestFaultPanicsKeepOrder(t *testing.T) {
	const packets = 60
	var flows [2][]byte // a packet for each of two goroutines
	for host := byte(1); flows[0] == nil || flows[1] == nil; host++ {
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, host}), 1024)
		p := nfqueuetest.UDP(from, netip.MustParseAddrPort("198.51.100.1:9"), []byte("body"))
		flows[ippkt.HashOf(p)>>63] = p
	}
	for _, c := range []struct {
		name  string
		batch int
		stash bool // packets are received before there is a handler
	}{
		{"all handed over", 96, false},
		{"a part handed over", 4, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := newFaulty(t)
			q := k.open(nfqueue.Config{Batch: c.batch, Fallback: nfqueue.Accept})
			var flights []*nfqueuetest.Flight
			for i := range packets {
				flights = append(flights, k.Send(0, nfqueuetest.Spec{Payload: flows[min(i%3, 1)]}))
			}
			if c.stash {
				if err := q.SetMaxLen(packets); err != nil {
					t.Fatal(err)
				}
			}
			var both sync.WaitGroup
			both.Add(2)
			err := q.ServeFlows(t.Context(), 2, queuelab.Alike(func(int, *nfqueue.Packet) nfqueue.Verdict {
				both.Done()
				both.Wait()
				panic("both")
			}))
			var p *nfqueue.PanicError
			if !errors.As(err, &p) {
				t.Fatalf("ServeFlows: %v", err)
			}
			var ids, want []uint32
			meant := func(id uint32) nfqueue.Verdict { return verdictFor(id / 5) } // batches
			s := queuelab.StartServing(q, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
				ids = append(ids, p.ID())
				return meant(p.ID())
			}))
			wantVerdicts(t, flights[:2], nfqueue.Accept, nfqueue.Accept)
			for i, f := range flights[2:] {
				id := uint32(i + 3)
				wantVerdict(t, f, meant(id))
				want = append(want, id)
			}
			if err := s.Stop(); err != nil {
				t.Error(err)
			}
			if !slices.Equal(ids, want) {
				t.Errorf("the packets came as %v", ids)
			}
		})
	}
}

// Handlers panic at random, and Serve is called again each time.
func TestFaultRandomPanics(t *testing.T) {
	for name, serve := range queuelab.Servers {
		t.Run(name, func(t *testing.T) {
			const packets = 5000
			k := newFaulty(t)
			q := k.open(nfqueue.Config{MaxLen: packets, Fallback: nfqueue.Accept})
			flights := k.send(packets)
			var rnd sync.Map             // who panics; no packet does twice
			for i := range packets - 1 { // the last one ends the test
				if rand.IntN(100) == 0 {
					rnd.Store(uint32(i+1), true)
				}
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			panics := uint64(0)
			for {
				err := serve(ctx, q, func(p *nfqueue.Packet) nfqueue.Verdict {
					if _, ok := rnd.LoadAndDelete(p.ID()); ok {
						panic("at random")
					}
					if p.ID() == packets {
						cancel()
					}
					return nfqueue.Drop
				})
				if err == nil {
					break
				}
				var p *nfqueue.PanicError
				if !errors.As(err, &p) {
					t.Fatal(err)
				}
				panics++
				if ctx.Err() != nil { // it panicked while draining, and has ended
					break
				}
			}
			for _, f := range flights {
				if r := f.Result(); r.Cause != nfqueuetest.Decided {
					t.Fatalf("%v: %v", f, r.Cause)
				}
			}
			bytes := uint64(packets * len(smallPacket)) // those left by a panic are not counted again
			if got := q.Stats(); got.Fallback.Panic < panics || got.Received != packets ||
				got.Bytes != bytes {
				t.Errorf("%d panics: %+v", panics, got)
			}
		})
	}
}
