// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"testing"

	"github.com/chifflier/nfqueue-go/internal/nfqmsg"
)

// countTo makes a handler that tells whenever it has had another n packets.
func countTo(n int, h HandlerFunc) (Handler, chan bool) {
	done, seen := make(chan bool, 1), 0
	return HandlerFunc(func(p *Packet) Verdict {
		if seen++; seen%n == 0 {
			done <- true
		}
		return h(p)
	}), done
}

var plainUDP = packetMessage(FamilyIPv4, 0,
	attr{nfqmsg.AttrPacketHdr, packetHdr(1, etherTypeIPv4, HookInput)},
	attr{nfqmsg.AttrInDev, be32(1)}, attr{nfqmsg.AttrPayload, udpPacket})

// TestFlowsNoAllocations: handing over allocates nothing either.
func TestFlowsNoAllocations(t *testing.T) {
	for _, c := range []struct {
		name string
		h    HandlerFunc
	}{
		{"accept", func(*Packet) Verdict { return Accept }},
		{"payload", func(p *Packet) Verdict {
			if p.SetPayload(p.Payload()) != nil {
				return Drop
			}
			return Accept
		}},
	} {
		q, reload := loaded(t, plainUDP)
		h, done := countTo(q.rx.slab.Slots(), c.h) // one flow, so only one goroutine calls it
		f := newFlows(q, []Handler{h, h})
		if n := testing.AllocsPerRun(100, func() {
			reload()
			if err := f.dispatch(); err != nil {
				t.Fatal(err)
			}
			<-done
		}); n != 0 {
			t.Errorf("%s: %v allocations for %d packets", c.name, n, q.rx.slab.Slots())
		}
		if err := f.wait(); err != nil {
			t.Error(err)
		}
		if n, v := q.stats.received.Load(), q.out.Counters.Accepted.Load(); n == 0 || n != v {
			t.Errorf("%s: %d packets, %d verdicts", c.name, n, v)
		}
	}
}

// BenchmarkFlowsHandle is BenchmarkHandle with a packet handed to another goroutine.
func BenchmarkFlowsHandle(b *testing.B) {
	q, reload := loaded(b, plainUDP)
	h := HandlerFunc(func(*Packet) Verdict { return Accept })
	f := newFlows(q, []Handler{h, h})
	b.ReportAllocs()
	for n := 0; n < b.N; n += q.rx.slab.Slots() {
		reload()
		if err := f.dispatch(); err != nil {
			b.Fatal(err)
		}
	}
	if err := f.wait(); err != nil {
		b.Error(err)
	}
}
