// SPDX-License-Identifier: GPL-2.0-or-later

package fault_test

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/fakekernel"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
)

func TestFaultPayloadTooLongToSend(t *testing.T) {
	k := newFaulty(t)
	k.SetMaxSend(1000)
	q := k.open(nfqueue.Config{Fallback: nfqueue.Drop})
	flights := k.send(3)
	s := queuelab.StartServing(q, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		if p.ID() == 2 {
			if err := p.SetPayload(append(p.Payload(), make([]byte, 1000)...)); err != nil {
				t.Error(err)
			}
		}
		return nfqueue.Accept
	}))
	wantVerdicts(t, flights, nfqueue.Accept, nfqueue.Drop, nfqueue.Accept)
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	if got := q.Stats(); got.Fallback.Send != 1 {
		t.Errorf("%+v", got)
	}
}

// No datagram is larger than the socket can send, and none has less in it than it could.
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
	flights := sendSmall(k, packets)
	s := queuelab.StartServing(q, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		b := p.Payload()
		if err := p.SetPayload(append(b, bytes.Repeat([]byte{byte(p.ID())},
			int(p.ID()))...)); err != nil {
			t.Error(err)
		}
		p.SetMark(p.ID())
		return nfqueue.Accept
	}))
	for i, f := range flights {
		<-f.Done()
		o := f.Outcome()
		id := byte(i + 1)
		if !o.Passed || o.Packet.Mark != uint32(id) ||
			!bytes.HasSuffix(o.Packet.Payload, bytes.Repeat([]byte{id}, int(id))) ||
			len(o.Packet.Payload) != len(smallPacket)+int(id) {
			t.Errorf("packet %d: %+v", id, o)
		}
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	if sends > 6 { // two full ones, and the CONFIG
		t.Errorf("%d datagrams", sends)
	}
}

// Verdicts without a payload are small, also for large packets.
func TestFaultMarksOfLargePackets(t *testing.T) {
	k := newFaulty(t)
	q := k.open(nfqueue.Config{FlushAfter: time.Hour})
	large := append([]byte(nil), smallPacket...)
	large = append(large, make([]byte, nfqueue.MaxPayload-len(large))...)
	binary.BigEndian.PutUint16(large[2:], uint16(len(large)))
	var flights []*nfqueuetest.Flight
	for range 10 {
		flights = append(flights, k.Send(0, nfqueuetest.Spec{Payload: large,
			SKBInfo: nfqueue.SegmentationPending}))
	}
	s := queuelab.StartServing(q, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		p.SetMark(7)
		return nfqueue.Accept
	}))
	for _, f := range flights {
		wantVerdict(t, f, nfqueue.Accept)
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	if got := q.Stats(); got.Sends != 1 {
		t.Errorf("%d verdicts of %d bytes each went in %d datagrams", len(flights), 40, got.Sends)
	}
}
