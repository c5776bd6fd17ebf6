// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue_test

import (
	"context"
	"net/netip"
	"testing"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/bridge"
	"github.com/chifflier/nfqueue-go/internal/fakekernel"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
)

// The tests in fault_*_test.go let things go wrong between a queue and a kernel in
// memory. They run on every operating system, and in bubbles of testing/synctest
// where time matters.

type handlerFunc = nfqueue.HandlerFunc

// always answers every packet alike.
func always(v nfqueue.Verdict) handlerFunc { return func(*nfqueue.Packet) nfqueue.Verdict { return v } }

// faulty is a kernel that can be made to fail.
type faulty struct {
	*nfqueuetest.Kernel
	t *testing.T
}

func newFaulty(t *testing.T) *faulty { return &faulty{nfqueuetest.NewKernel(t), t} }

func (k *faulty) open(cfg nfqueue.Config) *nfqueue.Queue {
	k.t.Helper()
	q, err := k.Open(cfg)
	if err != nil {
		k.t.Fatal(err)
	}
	return q
}

// send sends n packets to queue 0, the ids of which are 1 to n in a new queue.
func (k *faulty) send(n int) []*nfqueuetest.Flight {
	flights := make([]*nfqueuetest.Flight, n)
	for i := range flights {
		flights[i] = k.Send(0, nfqueuetest.Spec{Payload: smallPacket})
	}
	return flights
}

// serving is a Serve that runs.
type serving struct {
	cancel context.CancelFunc
	result chan error
}

// startServing runs q.Serve on another goroutine.
func startServing(q *nfqueue.Queue, h nfqueue.Handler) *serving {
	ctx, cancel := context.WithCancel(context.Background())
	s := &serving{cancel, make(chan error, 1)}
	go func() {
		defer close(s.result) // where Serve does not return
		s.result <- q.Serve(ctx, h)
	}()
	return s
}

// stop has Serve drain the queue, and returns its error.
func (s *serving) stop() error {
	s.cancel()
	return <-s.result
}

func wantVerdict(t *testing.T, f *nfqueuetest.Flight, want nfqueue.Verdict) nfqueuetest.Result {
	t.Helper()
	r := f.Result()
	if r.Cause != nfqueuetest.Decided || r.Verdict != want || len(r.Hops) != 1 {
		t.Errorf("%v: %v by %+v, %v; want the verdict %v", f, r.Verdict, r.Hops, r.Cause, want)
	}
	return r
}

func wantVerdicts(t *testing.T, flights []*nfqueuetest.Flight, want ...nfqueue.Verdict) {
	t.Helper()
	for i, f := range flights {
		wantVerdict(t, f, want[i])
	}
}

// wantWaiting fails if a packet has left the queue.
func wantWaiting(t *testing.T, f *nfqueuetest.Flight) {
	t.Helper()
	select {
	case <-f.Done():
		t.Errorf("%v left the queue: %+v", f, f.Result())
	default:
	}
}

// gate lets Sends wait.
type gate struct {
	*fakekernel.Conn
	before func(pieces [][]byte)
}

func (g *gate) Send(pieces [][]byte) error {
	if g.before != nil {
		g.before(pieces)
	}
	return g.Conn.Send(pieces)
}

// openGate opens queue 0 of a kernel; before is called before each Send from then on.
func openGate(t *testing.T, k *fakekernel.Kernel, cfg nfqueue.Config, before func(pieces [][]byte)) (*nfqueue.Queue, *gate) {
	t.Helper()
	g := &gate{Conn: k.Dial()}
	q, err := bridge.OpenOver(g, cfg)
	if err != nil {
		t.Fatal(err)
	}
	g.before = before
	t.Cleanup(func() { q.(*nfqueue.Queue).Close() })
	return q.(*nfqueue.Queue), g
}

// smallPacket is a packet.
var smallPacket = nfqueuetest.UDP(netip.MustParseAddrPort("192.0.2.1:1024"), netip.MustParseAddrPort("192.0.2.2:9"), []byte("body"))
