// SPDX-License-Identifier: GPL-2.0-or-later

package fault_test

import (
	"net/netip"
	"testing"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/bridge"
	"github.com/chifflier/nfqueue-go/internal/fakekernel"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
)

// faulty is a kernel that can be made to fail. At the end of every test its counters and those of
// its queues agree.
type faulty struct {
	*nfqueuetest.Kernel
	t       *testing.T
	queues  []*nfqueue.Queue
	flights []*nfqueuetest.Flight
}

func newFaulty(t *testing.T) *faulty {
	k := &faulty{t: t}
	t.Cleanup(k.audit) // after that of the Kernel
	k.Kernel = nfqueuetest.NewKernel(t)
	return k
}

func (k *faulty) open(cfg nfqueue.Config) *nfqueue.Queue {
	k.t.Helper()
	q, err := k.Open(cfg)
	if err != nil {
		k.t.Fatal(err)
	}
	k.queues = append(k.queues, q)
	return q
}

// Send sends a packet.
func (k *faulty) Send(queue uint16, s nfqueuetest.Spec) *nfqueuetest.Flight {
	k.t.Helper()
	f := k.Kernel.Send(queue, s)
	k.flights = append(k.flights, f)
	return f
}

// audit compares the verdicts that the queues have counted with those that had an effect in the
// kernel.
func (k *faulty) audit() {
	var effective, seen uint64
	for _, q := range k.queues {
		effective += queuelab.Settled(k.t, q)
	}
	for _, f := range k.flights {
		select {
		case <-f.Done():
			seen += uint64(len(f.Result().Hops))
		default:
			k.t.Errorf("%v waits after the end", f)
		}
	}
	if effective != seen {
		k.t.Errorf("the kernel has acted on %d verdicts; the queues count %d that had an effect", seen,
			effective)
	}
}

// send sends n packets to queue 0. In a new queue their ids are 1 to n.
func (k *faulty) send(n int) []*nfqueuetest.Flight {
	flights := make([]*nfqueuetest.Flight, n)
	for i := range flights {
		flights[i] = k.Send(0, nfqueuetest.Spec{Payload: smallPacket})
	}
	return flights
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

// gate can delay Send.
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
func openGate(t *testing.T, k *fakekernel.Kernel, cfg nfqueue.Config,
	before func(pieces [][]byte)) (*nfqueue.Queue, *gate) {
	t.Helper()
	g := &gate{Conn: k.Dial()}
	q, err := bridge.OpenOver(g, cfg)
	if err != nil {
		t.Fatal(err)
	}
	g.before = before
	t.Cleanup(func() {
		q.(*nfqueue.Queue).Close()
		queuelab.Settled(t, q.(*nfqueue.Queue))
	})
	return q.(*nfqueue.Queue), g
}

// smallPacket is a packet.
var smallPacket = nfqueuetest.UDP(netip.MustParseAddrPort("192.0.2.1:1024"),
	netip.MustParseAddrPort("192.0.2.2:9"), []byte("body"))

// sendSmall sends n of them to queue 0.
func sendSmall(k *fakekernel.Kernel, n int) []*fakekernel.Flight {
	flights := make([]*fakekernel.Flight, n)
	for i := range flights {
		flights[i] = k.Send(fakekernel.Rule{}, fakekernel.Packet{Family: 2, Payload: smallPacket})
	}
	return flights
}
