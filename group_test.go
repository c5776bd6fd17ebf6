// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/chifflier/nfqueue-go/internal/fakekernel"
)

// fakeGroup opens n queues of a kernel in memory, from 5 on.
func fakeGroup(t *testing.T, cfg Config, n int) (*fakekernel.Kernel, *Group) {
	t.Helper()
	k, g := fakekernel.New(), &Group{}
	for i := range n {
		cfg.Queue = uint16(5 + i)
		c, err := cfg.withDefaults()
		if err != nil {
			t.Fatal(err)
		}
		q, err := openOver(k.Dial(), c)
		if err != nil {
			t.Fatal(err)
		}
		g.queues = append(g.queues, q)
	}
	t.Cleanup(func() { g.Close() })
	return k, g
}

// sendTo sends a packet to each queue.
func sendTo(k *fakekernel.Kernel, g *Group) (flights []*fakekernel.Flight) {
	for _, q := range g.queues {
		flights = append(flights, k.Send(fakekernel.Rule{Queue: q.Number()},
			fakekernel.Packet{Family: uint8(FamilyIPv4), Payload: udpPacket}))
	}
	return flights
}

// TestGroupNewHandlerPanics: no queue is left open and unserved, and its packets get the
// Fallback.
func TestGroupNewHandlerPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, g := fakeGroup(t, Config{Fallback: Accept}, 3)
		flights := sendTo(k, g)
		func() {
			defer func() {
				if v := recover(); v != "mine" {
					t.Errorf("it panicked with %v", v)
				}
			}()
			_ = g.ServeEach(t.Context(), func(queue uint16) Handler {
				if queue == 6 {
					panic("mine")
				}
				return HandlerFunc(func(*Packet) Verdict { return Drop })
			})
		}()
		for i, f := range flights {
			<-f.Done()
			if !f.Outcome().Passed {
				t.Errorf("packet %d: %+v", i, f.Outcome())
			}
		}
		for _, q := range g.Queues() {
			if !q.life.IsClosed() {
				t.Errorf("queue %d is open", q.Number())
			}
		}
	})
}

// A nil handler is refused before the first packet, by each way to serve.
func TestNilHandler(t *testing.T) {
	for name, serve := range map[string]func(*Group) error{
		"Serve": func(g *Group) error { return g.queues[0].Serve(t.Context(), nil) },
		"ServeFlows": func(g *Group) error {
			return g.queues[0].ServeFlows(t.Context(), 2, func(int) Handler { return nil })
		},
		"Group.Serve": func(g *Group) error { return g.Serve(t.Context(), nil) },
		"Group.ServeFlows": func(g *Group) error {
			return g.ServeFlows(t.Context(), 2, func(uint16, int) Handler { return nil })
		},
	} {
		_, g := fakeGroup(t, Config{}, 1)
		if err := serve(g); err == nil || !strings.Contains(err.Error(), "Handler is nil") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestGroupServeFlows: every goroutine of every queue has a handler, and changes and
// statistics are those of all queues.
func TestGroupServeFlows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, g := fakeGroup(t, Config{}, 2)
		handlers := map[[2]int]bool{}
		served := make(chan error, 1)
		go func() {
			served <- g.ServeFlows(t.Context(), 3, func(queue uint16, worker int) Handler {
				handlers[[2]int{int(queue), worker}] = true
				return HandlerFunc(func(p *Packet) Verdict {
					if err := g.SetMaxLen(1); !errors.Is(err, ErrInHandler) {
						t.Errorf("SetMaxLen in a handler: %v", err)
					}
					if err := g.Shutdown(context.Background()); !errors.Is(err, ErrInHandler) {
						t.Errorf("Shutdown in a handler: %v", err)
					}
					return Accept
				})
			})
		}()
		for _, f := range sendTo(k, g) {
			<-f.Done()
		}
		if len(handlers) != 6 {
			t.Errorf("handlers %v", handlers)
		}
		err := errors.Join(
			g.SetMaxLen(MaxLenNone), g.SetFlags(FailOpen, FailOpen), g.SetCopy(CopyMeta, 0))
		if err != nil {
			t.Error(err)
		}
		for _, f := range sendTo(k, g) {
			if <-f.Done(); !f.Outcome().Passed || len(f.Outcome().Hops) != 0 {
				t.Errorf("%+v", f.Outcome())
			}
		}
		if err := g.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
		s := g.Stats()
		if s.Received != 2 || s.Accepted != 2 || s.Kernel == nil || s.Kernel.Queue != 5 ||
			s.Kernel.LastID != 2 || s.Kernel.CopyMode != CopyMeta || s.Kernel.Backlog != 0 {
			t.Errorf("%+v, %+v", s, s.Kernel)
		}
	})
}

// TestStatsAdd: every counter is added, also one that is new.
func TestStatsAdd(t *testing.T) {
	one := Stats{Received: 1, Unsent: 2, Fallback: FallbackStats{Panic: 3, Send: 4}, ReadBufferUsed: 5,
		Kernel: &KernelQueue{
			Queue: 1, PortID: 6, Backlog: 7, QueueDropped: 8, UserDropped: 9, LastID: 10,
		}}
	var sum Stats
	sum.add(Stats{})
	sum.add(one)
	two := one
	two.Kernel = &KernelQueue{
		Queue: 2, PortID: 60, Backlog: 70, QueueDropped: 80, UserDropped: 90, LastID: 100,
	}
	sum.add(two)
	kernel := *sum.Kernel
	sum.Kernel = nil
	want := Stats{Received: 2, Unsent: 4, Fallback: FallbackStats{Panic: 6, Send: 8},
		ReadBufferUsed: 10}
	wantKernel := KernelQueue{
		Queue: 1, Backlog: 77, QueueDropped: 88, UserDropped: 99, LastID: 110,
	}
	if sum != want || kernel != wantKernel {
		t.Errorf("%+v, %+v", sum, kernel)
	}
	timed := Stats{HandlerTime: &Histogram{Sum: 1}}
	timed.HandlerTime.Buckets[3] = 2
	sum.add(timed)
	sum.add(timed)
	if *sum.HandlerTime != (Histogram{Buckets: [len(sum.HandlerTime.Buckets)]uint64{3: 4}, Sum: 2}) {
		t.Errorf("%+v", sum.HandlerTime)
	}
	one.HandlerTime = timed.HandlerTime
	text := fmt.Sprintf("%+v", one)
	for _, want := range []string{"LastID:10}", "HandlerTime:2, mean 0s ", "DecideTime:<nil>"} {
		if !strings.Contains(text, want) {
			t.Errorf("%s, want %q in it", text, want)
		}
	}
	if one.Kernel.PortID != 6 || timed.HandlerTime.Sum != 1 {
		t.Error("a summand was changed")
	}
}
