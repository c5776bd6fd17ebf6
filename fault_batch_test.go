// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue_test

import (
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/bridge"
	"github.com/chifflier/nfqueue-go/internal/fakekernel"
	"github.com/chifflier/nfqueue-go/internal/transport"
)

func verdictFor(id uint32) nfqueue.Verdict { return nfqueue.Verdict(id % 2) }

// VERDICT_BATCH decides all packets up to an id, so it may not be used while one of
// those is held. Handlers that accept, drop, defer and resolve at random find out,
// while ids wrap around.
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

// right is a held packet and the verdict meant for it.
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
	s := startServing(q, handlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
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
	if err := s.stop(); err != nil {
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
	if got := q.Stats(); got.Gone+got.Refused+got.Unsent != 0 {
		t.Errorf("%+v", got)
	}
	return batched
}

// sharedConn is a socket that can be given to another process, which reads what it likes.
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
	var flights []*fakekernel.Flight
	for range 4 {
		flights = append(flights, k.Send(fakekernel.Rule{}, fakekernel.Packet{Family: 2, Payload: smallPacket}))
	}
	if n, err := conn.Recv(transport.NewSlab(1, 4096)); n != 1 || err != nil { // the other process
		t.Fatal(n, err)
	}
	s := startServing(q, always(nfqueue.Accept))
	for _, f := range flights[1:] {
		<-f.Done()
	}
	select {
	case <-flights[0].Done():
		t.Errorf("the packet that another process has was decided: %+v", flights[0].Outcome())
	default:
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}
