// SPDX-License-Identifier: GPL-2.0-or-later

package fault_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/bridge"
	"github.com/chifflier/nfqueue-go/internal/fakekernel"
	"github.com/chifflier/nfqueue-go/internal/kernel"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
	"github.com/chifflier/nfqueue-go/internal/transport"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
)

func verdictFor(id uint32) nfqueue.Verdict { return nfqueue.Verdict(id % 2) }

// VERDICT_BATCH decides all packets up to an id, so the queue must not send it while one of those
// is held. Handlers accept, drop, defer and resolve at random, while ids wrap around.
func TestFaultBatchNeverDecidesHeld(t *testing.T) {
	const packets = 400
	batched := 0
	for seed := range uint64(60) {
		batched += batchRandomly(t, packets, rand.New(rand.NewPCG(seed, 0)))
	}
	if batched < packets {
		t.Errorf("only %d packets were decided by VERDICT_BATCH; this test would not notice", batched)
	}
}

// right is a held packet and the verdict that it should get.
type right struct {
	*nfqueue.Held
	verdict nfqueue.Verdict
}

// batchRandomly returns the number of packets decided by VERDICT_BATCH.
func batchRandomly(t *testing.T, packets int, rnd *rand.Rand) (batched int) {
	k := newFaulty(t)
	k.SetFirstID(-uint32(rnd.IntN(packets)))
	rights := make(chan right, packets)
	var resolvers sync.WaitGroup
	for range 3 {
		resolvers.Go(func() {
			for r := range rights {
				if err := r.Resolve(r.verdict); err != nil {
					t.Error(err)
				}
			}
		})
	}
	var kept []right
	meant := make(map[uint32]nfqueue.Verdict)
	q := k.open(nfqueue.Config{Batch: 1 + rnd.IntN(100)})
	s := queuelab.StartServing(q, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		v := nfqueue.Accept
		if rnd.IntN(20) == 0 {
			v = nfqueue.Drop
		}
		meant[p.ID()] = v
		last := len(meant) == packets
		if last || rnd.IntN(20) == 0 {
			for _, r := range kept {
				rights <- r
			}
			kept = nil
		}
		switch r := rnd.IntN(40); {
		case last:
			return v
		case r == 0:
			rights <- right{p.Defer(), v}
			return nfqueue.Deferred
		case r == 1:
			kept = append(kept, right{p.Defer(), v})
			return nfqueue.Deferred
		}
		return v
	}))
	flights := k.send(packets)
	<-flights[packets-1].Done()
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	close(rights)
	resolvers.Wait()
	for _, f := range flights {
		r := f.Result()
		if len(r.Hops) != 1 {
			t.Fatalf("%v: %+v", f, r)
		}
		wantVerdict(t, f, meant[r.Hops[0].ID])
		if r.Hops[0].Batch {
			batched++
		}
	}
	if got := q.Stats(); got.TooLate+got.Refused+got.Unsent != 0 {
		t.Errorf("%+v", got)
	}
	return batched
}

// sharedConn is a socket that another process may read too.
type sharedConn struct{ *fakekernel.Conn }

func (sharedConn) File() (*os.File, error) { return os.Open(os.DevNull) }

// No batch decides a packet that another process has read from the same socket.
func TestFaultNoBatchWhileShared(t *testing.T) {
	k := fakekernel.New()
	conn := sharedConn{k.Dial()}
	opened, err := bridge.OpenOver(conn, nfqueue.Config{FlushAfter: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	q := opened.(*nfqueue.Queue)
	file, err := q.File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	flights := sendSmall(k, 4)
	if n, err := conn.Recv(transport.NewSlab(1, 4096)); n != 1 || err != nil { // the other process
		t.Fatal(n, err)
	}
	s := queuelab.StartServing(q, queuelab.Always(nfqueue.Accept))
	for _, f := range flights[1:] {
		<-f.Done()
	}
	select {
	case <-flights[0].Done():
		t.Errorf("the packet that another process has was decided: %+v", flights[0].Outcome())
	default:
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}

// oddDropped drops every other packet, so that each verdict needs a message of its own.
var oddDropped = nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict { return verdictFor(p.ID() + 1) })

// A packet whose verdict could not be sent stays in the queue. No batch may decide it differently.
func TestFaultUnsentIsNotDecidedByBatch(t *testing.T) {
	const attempts = 1 + 10 // together, then alone
	for name, first := range map[string]int{"same datagram": 3, "next datagram": 1} {
		t.Run(name, func(t *testing.T) {
			k := newFaulty(t)
			q := k.open(nfqueue.Config{})
			flights := k.send(first)
			for range attempts {
				k.FailSend(0, noBuffers)
			}
			s := queuelab.StartServing(q, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict { return verdictFor(min(p.ID(), 2) - 1) }))
			if first < 3 {
				for q.Stats().Unsent == 0 {
					runtime.Gosched()
				}
				flights = append(flights, k.send(3-first)...)
			}
			wantVerdicts(t, flights[1:], nfqueue.Accept, nfqueue.Accept)
			wantWaiting(t, flights[0]) // though it was to be dropped
			if got := q.Stats(); got.Unsent != 1 {
				t.Errorf("%+v", got)
			}
			if err := s.Stop(); err != nil {
				t.Error(err)
			}
			flights[0].Result()
		})
	}
}

// The same if the batch was encoded before the sending of the verdict failed.
func TestFaultUnsentIsNotDecidedByWaitingBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := fakekernel.New()
		sends, release := make(chan struct{}), make(chan struct{})
		q, g := openGate(t, k, nfqueue.Config{}, func([][]byte) {
			sends <- struct{}{}
			<-release
		})
		slow := make(chan struct{})
		flights := sendSmall(k, 3)
		s := queuelab.StartServing(q, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
			switch p.ID() {
			case 1:
				return nfqueue.Drop
			case 2:
				<-slow // so that the verdict of the first is sent by itself
			}
			return nfqueue.Accept
		}))
		<-sends
		close(slow)
		synctest.Wait() // for the verdicts of the others, which wait to be sent
		for range 1 + 10 {
			g.FailSend(noBuffers)
		}
		go func() {
			for range sends {
			}
		}()
		close(release)
		<-flights[2].Done()
		<-flights[1].Done()
		select {
		case <-flights[0].Done():
			t.Errorf("the verdict that could not be sent was drop; a batch decided: %+v",
				flights[0].Outcome())
		default:
		}
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
		close(sends)
	})
}

// A packet whose verdict was refused stays in the queue. No batch may decide it differently, even
// if the refusal is behind the packets of that batch.
func TestFaultRefusedIsNotDecidedByBatch(t *testing.T) {
	for name, queueMore := range map[string]func(*faulty) []*nfqueuetest.Flight{
		"after the refusal":  nil,
		"before the refusal": func(k *faulty) []*nfqueuetest.Flight { return k.send(2) },
	} {
		t.Run(name, func(t *testing.T) {
			k := newFaulty(t)
			q := k.open(nfqueue.Config{FlushAfter: time.Hour})
			flights := k.send(1)
			k.RefuseVerdict(0, kernel.Error(kernel.EPERM))
			s := queuelab.StartServing(q, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
				if p.ID() > 1 {
					return nfqueue.Accept
				}
				if queueMore != nil {
					flights = append(flights, queueMore(k)...)
				}
				return nfqueue.Drop
			}))
			for q.Stats().Refused == 0 {
				runtime.Gosched()
			}
			if queueMore == nil {
				flights = append(flights, k.send(2)...)
			}
			wantVerdicts(t, flights[1:], nfqueue.Accept, nfqueue.Accept)
			wantWaiting(t, flights[0])
			if err := s.Stop(); err != nil {
				t.Error(err)
			}
			flights[0].Result()
		})
	}
}

// A verdict of Resolve does not fit into the datagram that is being filled, and has to wait. No
// batch before it may decide its packet.
func TestFaultHeldUntilItsVerdictIsCollected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const maxSend = 1000
		k := fakekernel.New()
		k.SetMaxSend(maxSend)
		release := make(chan struct{})
		q, _ := openGate(t, k, nfqueue.Config{FlushAfter: time.Hour}, func([][]byte) { <-release })
		flights := sendSmall(k, 5)
		held, slow := make(chan *nfqueue.Held, 1), make(chan struct{})
		s := queuelab.StartServing(q, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
			switch p.ID() {
			case 1:
				held <- p.Defer()
				return nfqueue.Deferred
			case 3:
				<-slow
			}
			return nfqueue.Drop
		}))
		h := <-held
		large := append(bytes.Clone(smallPacket), make([]byte, maxSend-100-len(smallPacket))...)
		if err := h.Packet().SetPayload(large); err != nil {
			t.Error(err)
		}
		synctest.Wait() // for the verdict of packet 2 to be collected
		go func() {
			if err := h.Resolve(nfqueue.Accept); err != nil {
				t.Error(err)
			}
		}()
		synctest.Wait() // for Resolve to send that first
		close(slow)
		synctest.Wait() // for the verdicts of the others to be collected
		close(release)
		for i, f := range flights {
			<-f.Done()
			if o := f.Outcome(); o.Passed != (i == 0) || i == 0 && len(o.Packet.Payload) != len(large) {
				t.Errorf("packet %d: %+v", i+1, o)
			}
		}
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
}
