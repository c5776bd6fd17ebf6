// SPDX-License-Identifier: GPL-2.0-or-later

package fault_test

import (
	"bytes"
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/fakekernel"
	"github.com/chifflier/nfqueue-go/internal/ippkt"
	"github.com/chifflier/nfqueue-go/internal/kernel"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
)

var noBuffers = kernel.Error(kernel.ENOBUFS)

func TestFaultSendFailsOnce(t *testing.T) {
	k := newFaulty(t)
	q := k.open(nfqueue.Config{})
	flights := k.send(4)
	k.FailSend(0, noBuffers)
	s := queuelab.StartServing(q, oddDropped)
	wantVerdicts(t, flights, nfqueue.Drop, nfqueue.Accept, nfqueue.Drop, nfqueue.Accept)
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	if got := q.Stats(); got.Unsent != 0 || got.Fallback.Send != 0 {
		t.Errorf("%+v", got)
	}
}

// If the kernel has no memory for a payload, a verdict without payload decides the packet.
func TestFaultSendFailsWithPayload(t *testing.T) {
	k := newFaulty(t)
	q := k.open(nfqueue.Config{})
	f := k.Send(0, nfqueuetest.Spec{Payload: smallPacket})
	k.FailSend(0, noBuffers)
	k.FailSend(0, noBuffers)
	s := queuelab.StartServing(q, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		p.SetPayload(append(p.Payload(), "more"...))
		return nfqueue.Accept
	}))
	if r := wantVerdict(t, f, nfqueue.Drop); r.Edits.Payload {
		t.Errorf("%+v", r)
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	if got := q.Stats(); got.Fallback.Send != 1 || got.Unsent != 0 || got.Dropped != 1 ||
		got.Accepted != 0 {
		t.Errorf("%+v", got)
	}
}

// When a device goes down the kernel drops its packets. That is no error.
func TestFaultVerdictForPacketThatIsGone(t *testing.T) {
	k := newFaulty(t)
	q := k.open(nfqueue.Config{})
	d := queuelab.DeferIf(func(id uint32) bool { return id == 1 })
	s := queuelab.StartServing(q, d)
	f := k.Send(0, nfqueuetest.Spec{})
	held := <-d.Held
	k.Flush()
	if err := held.Resolve(nfqueue.Accept); err != nil {
		t.Error(err)
	}
	if r := f.Result(); r.Cause != nfqueuetest.Flushed {
		t.Errorf("%+v", r)
	}
	wantVerdict(t, k.Send(0, nfqueuetest.Spec{}), nfqueue.Accept)
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	if got := q.Stats(); got.TooLate != 1 || got.Refused != 0 {
		t.Errorf("%+v", got)
	}
}

// A worker sends altered payloads before other packets are received into their slots.
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
			result <- q.ServeFlows(ctx, 2, queuelab.Alike(func(_ int, p *nfqueue.Packet) nfqueue.Verdict {
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

// A sender does not go on for as long as others add verdicts, who here never stop before their
// packets end. All these verdicts are sent all the same.
func TestFaultSenderIsNotKept(t *testing.T) {
	const packets, few = 500, 4
	serve := func(k *fakekernel.Kernel, _ *nfqueue.Held, _ chan struct{}) { sendSmall(k, 1) }
	for name, c := range map[string]struct {
		begin func(k *fakekernel.Kernel, own *nfqueue.Held, returned chan struct{})
		large int // bytes of a payload
	}{
		"Resolve": {func(_ *fakekernel.Kernel, own *nfqueue.Held, returned chan struct{}) {
			own.Resolve(nfqueue.Accept)
			close(returned)
		}, 0},
		"Serve":                        {serve, 0},
		"Serve where no two have room": {serve, 900},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := fakekernel.New()
				k.SetMaxSend(1000)
				held := make(chan *nfqueue.Held, packets)
				returned := make(chan struct{}) // closed when the sender goes on with something else
				var on atomic.Bool
				var sends atomic.Int32
				q, _ := openGate(t, k, nfqueue.Config{Fallback: nfqueue.Drop, FlushAfter: time.Hour},
					func([][]byte) {
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
				flights := sendSmall(k, packets)
				s := queuelab.StartServing(q, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
					switch p.ID() {
					case packets + 1: // the next are a batch
						sendSmall(k, 3)
						return nfqueue.Accept
					case packets + 2:
						on.Store(true)
						return nfqueue.Drop
					case packets + 3:
						if c.large > 0 {
							if err := p.SetPayload(append(p.Payload(),
								make([]byte, c.large-len(smallPacket))...)); err != nil {
								t.Error(err)
							}
						}
						return nfqueue.Accept
					case packets + 4:
						close(returned)
						return nfqueue.Accept
					}
					held <- p.Defer()
					return nfqueue.Deferred
				}))
				synctest.Wait()
				on.Store(c.large == 0)
				own := <-held
				c.begin(k, own, returned)
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
				if err := s.Stop(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
