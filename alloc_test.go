// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"encoding/binary"
	"io"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go/internal/nfqmsg"
	"github.com/chifflier/nfqueue-go/internal/transport"
)

// devNull is a kernel that takes verdicts and has no packets.
type devNull struct{ transport.Conn }

func (devNull) Send([][]byte) error               { return nil }
func (devNull) Recv(*transport.Slab) (int, error) { return 0, os.ErrDeadlineExceeded }
func (devNull) SetReadDeadline(time.Time) error   { return nil }
func (devNull) MaxSend() int                      { return 212960 }
func (devNull) SetReadBuffer(n int) (int, error)  { return n, nil }
func (devNull) Close() error                      { return nil }
func (devNull) ProcTable() ([]byte, error)        { return nil, os.ErrNotExist }

// loaded is a queue with a batch of packets in its slab, as after receiving.
func loaded(t testing.TB, msg []byte) (q *Queue, reload func()) {
	t.Helper()
	cfg, err := Config{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	q = newQueue(devNull{}, cfg)
	t.Cleanup(func() { q.Close() })
	id := uint32(0)
	return q, func() {
		r := &q.rx
		r.n, r.cur = r.slab.Slots(), 0
		for i := range r.n {
			slot := r.slab.Slot(i)
			*r.slab.Datagram(i) = transport.Datagram{Len: copy(slot, msg)}
			id++
			binary.BigEndian.PutUint32(slot[24:], id)
		}
		r.countArrivals()
	}
}

// TestNoAllocations: decoding, the handler and the verdict allocate nothing, whatever
// is changed on the packet.
func TestNoAllocations(t *testing.T) {
	plain := packetMessage(FamilyIPv4, 0, attr{nfqmsg.AttrPacketHdr,
		packetHdr(1, etherTypeIPv4, HookInput)}, attr{nfqmsg.AttrInDev, be32(1)},
		attr{nfqmsg.AttrPayload, udpPacket})
	for _, c := range []struct {
		name string
		h    HandlerFunc
	}{
		{"accept", func(p *Packet) Verdict { return Accept }},
		{"alternating", func(p *Packet) Verdict { return Verdict(p.ID() & 1) }},
		{"accessors", func(p *Packet) Verdict {
			p.Time()
			p.UID()
			p.VLAN()
			p.HardwareAddr()
			return Verdict(p.Mark() & uint32(p.FullLen()+p.InDev()) & 1)
		}},
		{"mark", func(p *Packet) Verdict {
			p.SetMark(p.ID())
			return Accept
		}},
		{"payload in place", func(p *Packet) Verdict {
			b := p.Payload()
			b[28]++
			if p.SetPayload(b) != nil {
				return Drop
			}
			return Accept
		}},
		{"transport", func(p *Packet) Verdict {
			if t, ok := p.Transport(); !ok || string(t.Body) != "hi" {
				return Drop
			}
			return Accept
		}},
		{"body", func(p *Packet) Verdict {
			t, _ := p.Transport()
			if p.SetBody(append(t.Body, " there"...)) != nil || p.SetBody(udpPacket) != nil {
				return Drop
			}
			return Accept
		}},
		{"another payload", func(p *Packet) Verdict {
			if p.SetPayload(udpPacket[:29]) != nil {
				return Drop
			}
			return Accept
		}},
		{"repeat", func(p *Packet) Verdict { return Repeat }},
	} {
		for _, measured := range []bool{false, true} {
			q, reload := loaded(t, plain)
			q.times.Init(measured)
			d := newInline(q, c.h)
			d.startCalls()
			if n := testing.AllocsPerRun(100, func() {
				reload()
				if err := d.dispatch(); err != nil {
					t.Fatal(err)
				}
			}); n != 0 {
				t.Errorf("%s: %v allocations for %d packets, with histograms %v",
					c.name, n, q.rx.slab.Slots(), measured)
			}
			if got := q.stats.received.Load(); got == 0 {
				t.Errorf("%s: nothing was handled", c.name)
			}
		}
	}
}

// BenchmarkHandle is the work in Go for one packet: decoding, an empty handler, and
// its verdict in a datagram that goes nowhere.
func BenchmarkHandle(b *testing.B) {
	msg := packetMessage(FamilyIPv4, 0, attr{nfqmsg.AttrPacketHdr,
		packetHdr(1, etherTypeIPv4, HookInput)}, attr{nfqmsg.AttrInDev, be32(1)},
		attr{nfqmsg.AttrPayload, udpPacket})
	for _, c := range []struct {
		name string
		h    HandlerFunc
	}{
		{"drop", func(p *Packet) Verdict { return Drop }},
		{"alternating", func(p *Packet) Verdict { return Verdict(p.ID() & 1) }},
		{"payload", func(p *Packet) Verdict {
			if p.SetPayload(p.Payload()) != nil {
				return Drop
			}
			return Accept
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			q, reload := loaded(b, msg)
			reload()
			d := newInline(q, c.h)
			b.ReportAllocs()
			for n := 0; n < b.N; n += q.rx.slab.Slots() {
				q.rx.n, q.rx.cur = q.rx.slab.Slots(), 0
				q.rx.countArrivals()
				if err := d.dispatch(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
