// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/fakekernel"
	"github.com/chifflier/nfqueue-go/internal/ippkt"
	"github.com/chifflier/nfqueue-go/internal/kerrno"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
)

var noBuffers = kerrno.Error(fakekernel.ENOBUFS)

// oddDropped drops every other packet, so that no two verdicts can go in one message.
var oddDropped = handlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict { return verdictFor(p.ID() + 1) })

func TestFaultSendFailsOnce(t *testing.T) {
	k := newFaulty(t)
	q := k.open(nfqueue.Config{})
	flights := k.send(4)
	k.FailSend(0, noBuffers)
	s := startServing(q, oddDropped)
	wantVerdicts(t, flights, nfqueue.Drop, nfqueue.Accept, nfqueue.Drop, nfqueue.Accept)
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	if got := q.Stats(); got.Unsent != 0 || got.Fallback.Send != 0 {
		t.Errorf("%+v", got)
	}
}

// A packet whose payload the kernel has no memory for is decided by a verdict without.
func TestFaultSendFailsWithPayload(t *testing.T) {
	k := newFaulty(t)
	q := k.open(nfqueue.Config{})
	f := k.Send(0, nfqueuetest.Spec{Payload: smallPacket})
	k.FailSend(0, noBuffers)
	k.FailSend(0, noBuffers)
	s := startServing(q, handlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		p.SetPayload(append(p.Payload(), "more"...))
		return nfqueue.Accept
	}))
	if r := wantVerdict(t, f, nfqueue.Drop); r.Edits.Payload {
		t.Errorf("%+v", r)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	if got := q.Stats(); got.Fallback.Send != 1 || got.Unsent != 0 || got.Dropped != 1 || got.Accepted != 0 {
		t.Errorf("%+v", got)
	}
}

// A verdict that could not be sent leaves its packet in the queue, where no batch may
// decide it otherwise.
func TestFaultUnsentIsNotDecidedByBatch(t *testing.T) {
	const attempts = 1 + 10 // together, then alone
	t.Run("same datagram", func(t *testing.T) {
		k := newFaulty(t)
		q := k.open(nfqueue.Config{})
		flights := k.send(3)
		for range attempts {
			k.FailSend(0, noBuffers)
		}
		s := startServing(q, handlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict { return verdictFor(min(p.ID(), 2) - 1) }))
		unsent(t, q, s, flights)
	})
	t.Run("next datagram", func(t *testing.T) {
		k := newFaulty(t)
		q := k.open(nfqueue.Config{})
		flights := k.send(1)
		for range attempts {
			k.FailSend(0, noBuffers)
		}
		s := startServing(q, handlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict { return verdictFor(min(p.ID(), 2) - 1) }))
		for q.Stats().Unsent == 0 {
			runtime.Gosched()
		}
		flights = append(flights, k.send(2)...)
		unsent(t, q, s, flights)
	})
}

// unsent expects that packet 1 of 3 was to be dropped and is still there.
func unsent(t *testing.T, q *nfqueue.Queue, s *serving, flights []*nfqueuetest.Flight) {
	t.Helper()
	wantVerdicts(t, flights[1:], nfqueue.Accept, nfqueue.Accept)
	wantWaiting(t, flights[0])
	if got := q.Stats(); got.Unsent != 1 {
		t.Errorf("%+v", got)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	flights[0].Result()
}

// The same when the batch had been put together before it turned out that the verdict
// cannot be sent.
func TestFaultUnsentIsNotDecidedByWaitingBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := fakekernel.New()
		sends, release := make(chan struct{}), make(chan struct{})
		q, g := openGate(t, k, nfqueue.Config{}, func([][]byte) {
			sends <- struct{}{}
			<-release
		})
		slow := make(chan struct{})
		var flights []*fakekernel.Flight
		for range 3 {
			flights = append(flights, k.Send(fakekernel.Rule{}, fakekernel.Packet{Family: 2, Payload: smallPacket}))
		}
		s := startServing(q, handlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
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
			t.Errorf("the verdict that could not be sent was drop; a batch decided: %+v", flights[0].Outcome())
		default:
		}
		if err := s.stop(); err != nil {
			t.Error(err)
		}
		close(sends)
	})
}

func TestFaultPayloadTooLongToSend(t *testing.T) {
	k := newFaulty(t)
	k.SetMaxSend(1000)
	q := k.open(nfqueue.Config{Fallback: nfqueue.Drop})
	flights := k.send(3)
	s := startServing(q, handlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		if p.ID() == 2 {
			if err := p.SetPayload(append(p.Payload(), make([]byte, 1000)...)); err != nil {
				t.Error(err)
			}
		}
		return nfqueue.Accept
	}))
	wantVerdicts(t, flights, nfqueue.Accept, nfqueue.Drop, nfqueue.Accept)
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	if got := q.Stats(); got.Fallback.Send != 1 {
		t.Errorf("%+v", got)
	}
}

// No datagram is larger than the socket can send, and none is sent that is too small.
func TestFaultDatagramsFitTheSocket(t *testing.T) {
	const maxSend = 4000
	k := fakekernel.New()
	k.SetMaxSend(maxSend)
	sends := 0
	q, _ := openGate(t, k, nfqueue.Config{FlushAfter: time.Hour}, func(pieces [][]byte) {
		n := 0
		for _, p := range pieces {
			if len(p) == 0 {
				t.Error("an empty piece, which an iovec cannot be")
			}
			n += len(p)
		}
		if n > maxSend {
			t.Errorf("a datagram of %d bytes", n)
		}
		sends++
	})
	const packets = 60
	var flights []*fakekernel.Flight
	for range packets {
		flights = append(flights, k.Send(fakekernel.Rule{}, fakekernel.Packet{Family: 2, Payload: smallPacket}))
	}
	s := startServing(q, handlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		b := p.Payload()
		if err := p.SetPayload(append(b, bytes.Repeat([]byte{byte(p.ID())}, int(p.ID()))...)); err != nil {
			t.Error(err)
		}
		p.SetMark(p.ID())
		return nfqueue.Accept
	}))
	for i, f := range flights {
		<-f.Done()
		o := f.Outcome()
		id := byte(i + 1)
		if !o.Passed || o.Packet.Mark != uint32(id) || !bytes.HasSuffix(o.Packet.Payload, bytes.Repeat([]byte{id}, int(id))) || len(o.Packet.Payload) != len(smallPacket)+int(id) {
			t.Errorf("packet %d: %+v", id, o)
		}
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	if sends > 6 { // two full ones, and the CONFIG
		t.Errorf("%d datagrams", sends)
	}
}

// Verdicts that do not send a payload back are small, however large their packet is.
func TestFaultMarksOfLargePackets(t *testing.T) {
	k := newFaulty(t)
	q := k.open(nfqueue.Config{FlushAfter: time.Hour})
	large := append([]byte(nil), smallPacket...)
	large = append(large, make([]byte, nfqueue.MaxPayload-len(large))...)
	binary.BigEndian.PutUint16(large[2:], uint16(len(large)))
	var flights []*nfqueuetest.Flight
	for range 10 {
		flights = append(flights, k.Send(0, nfqueuetest.Spec{Payload: large, SKBInfo: nfqueue.SegmentationPending}))
	}
	s := startServing(q, handlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		p.SetMark(7)
		return nfqueue.Accept
	}))
	for _, f := range flights {
		wantVerdict(t, f, nfqueue.Accept)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	if got := q.Stats(); got.Sends != 1 {
		t.Errorf("%d verdicts of %d bytes each went in %d datagrams", len(flights), 40, got.Sends)
	}
}

// The kernel no longer has a packet when a device goes down. That is no fault.
func TestFaultVerdictForPacketThatIsGone(t *testing.T) {
	k := newFaulty(t)
	q := k.open(nfqueue.Config{})
	d := deferIf(func(id uint32) bool { return id == 1 })
	s := startServing(q, d)
	f := k.Send(0, nfqueuetest.Spec{})
	held := <-d.held
	k.Flush()
	if err := held.Resolve(nfqueue.Accept); err != nil {
		t.Error(err)
	}
	if r := f.Result(); r.Cause != nfqueuetest.Flushed {
		t.Errorf("%+v", r)
	}
	wantVerdict(t, k.Send(0, nfqueuetest.Spec{}), nfqueue.Accept)
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	if got := q.Stats(); got.Gone != 1 || got.Refused != 0 {
		t.Errorf("%+v", got)
	}
}

// A refused verdict leaves its packet in the queue, where no batch may decide it
// otherwise, even if the refusal comes behind the packets of that batch.
func TestFaultRefusedIsNotDecidedByBatch(t *testing.T) {
	for name, queueMore := range map[string]func(*faulty) []*nfqueuetest.Flight{
		"after the refusal":  nil,
		"before the refusal": func(k *faulty) []*nfqueuetest.Flight { return k.send(2) },
	} {
		t.Run(name, func(t *testing.T) {
			k := newFaulty(t)
			q := k.open(nfqueue.Config{FlushAfter: time.Hour})
			flights := k.send(1)
			k.RefuseVerdict(0, kerrno.EPERM)
			s := startServing(q, handlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
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
			if err := s.stop(); err != nil {
				t.Error(err)
			}
			flights[0].Result()
		})
	}
}

// A verdict of Resolve that must wait to be collected, because it does not fit into the
// datagram that is being filled, finds no batch before it that decides its packet.
func TestFaultHeldUntilItsVerdictIsCollected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const maxSend = 1000
		k := fakekernel.New()
		k.SetMaxSend(maxSend)
		release := make(chan struct{})
		q, _ := openGate(t, k, nfqueue.Config{FlushAfter: time.Hour}, func([][]byte) { <-release })
		var flights []*fakekernel.Flight
		for range 5 {
			flights = append(flights, k.Send(fakekernel.Rule{}, fakekernel.Packet{Family: 2, Payload: smallPacket}))
		}
		held, slow := make(chan *nfqueue.Held, 1), make(chan struct{})
		s := startServing(q, handlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
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
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
}

// A worker sends altered payloads before others are received into their slots.
func TestFaultAlteredPayloadsKeepTheirSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const (
			first = 40 // more than a worker begins with at a time
			begun = 16
		)
		k := newFaulty(t)
		q := k.open(nfqueue.Config{FlushAfter: time.Hour})
		var flights []*nfqueuetest.Flight
		send := func(n int) {
			for range n {
				b := bytes.Clone(smallPacket)
				b[len(b)-1] = byte(len(flights) + 1) // the id
				if err := ippkt.Complete(b); err != nil {
					t.Error(err)
				}
				flights = append(flights, k.Send(0, nfqueuetest.Spec{Payload: b}))
			}
		}
		send(first)
		sent := make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error)
		go func() {
			result <- q.ServeFlows(ctx, 2, alike(func(_ int, p *nfqueue.Packet) nfqueue.Verdict {
				if p.ID() == begun+1 {
					synctest.Wait()
					send(begun) // in whose places the slab gets the slots of the first ones
					synctest.Wait()
					send(begun)
					synctest.Wait()
					close(sent)
				}
				b := p.Payload()
				b[len(b)-2] = 'X'
				if err := p.SetPayload(b); err != nil {
					t.Error(err)
				}
				return nfqueue.Accept
			}))
		}()
		<-sent
		for i, f := range flights {
			r := wantVerdict(t, f, nfqueue.Accept)
			if want := []byte{'X', byte(i + 1)}; !bytes.HasSuffix(r.Payload, want) {
				t.Errorf("packet %d went on with % x, want % x at its end", i+1, r.Payload, want)
			}
		}
		cancel()
		if err := <-result; err != nil {
			t.Error(err)
		}
	})
}

// Who sends is not kept for as long as others have verdicts to send, who do not come to an
// end here before their packets do. All of these leave all the same.
func TestFaultSenderIsNotKept(t *testing.T) {
	const packets, few = 500, 4
	for name, begin := range map[string]func(k *fakekernel.Kernel, own *nfqueue.Held, returned chan struct{}){
		"Resolve": func(_ *fakekernel.Kernel, own *nfqueue.Held, returned chan struct{}) {
			own.Resolve(nfqueue.Accept)
			close(returned)
		},
		"Serve": func(k *fakekernel.Kernel, _ *nfqueue.Held, _ chan struct{}) {
			k.Send(fakekernel.Rule{}, fakekernel.Packet{Family: 2, Payload: smallPacket})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := fakekernel.New()
				held := make(chan *nfqueue.Held, packets)
				returned := make(chan struct{}) // closed when the sender goes on with something else
				var on atomic.Bool
				var sends atomic.Int32
				q, _ := openGate(t, k, nfqueue.Config{Fallback: nfqueue.Drop}, func([][]byte) {
					if !on.Load() {
						return
					}
					if sends.Add(1) == few+1 {
						select {
						case <-returned:
						case <-time.After(time.Hour): // of the bubble: nothing else can go on
							t.Errorf("has not gone on after %d datagrams", few)
						}
					}
					resolved := make(chan struct{})
					go func() {
						defer close(resolved)
						select {
						case h := <-held:
							h.Resolve(nfqueue.Accept)
						default:
						}
					}()
					<-resolved
				})
				var flights []*fakekernel.Flight
				for range packets {
					flights = append(flights, k.Send(fakekernel.Rule{}, fakekernel.Packet{Family: 2, Payload: smallPacket}))
				}
				s := startServing(q, handlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
					switch p.ID() {
					case packets + 1:
						k.Send(fakekernel.Rule{}, fakekernel.Packet{Family: 2, Payload: smallPacket})
						return nfqueue.Accept
					case packets + 2:
						close(returned)
						return nfqueue.Accept
					}
					held <- p.Defer()
					return nfqueue.Deferred
				}))
				synctest.Wait()
				on.Store(true)
				own := <-held
				begin(k, own, returned)
				<-returned
				synctest.Wait() // for the relay
				on.Store(false)
				own.Resolve(nfqueue.Accept) // if it was not
				for i, f := range flights {
					select {
					case <-f.Done():
					default:
						t.Fatalf("packet %d waits, %d datagrams", i+1, sends.Load())
					}
				}
				if err := s.stop(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
