// SPDX-License-Identifier: GPL-2.0-or-later

package connection_test

import (
	"encoding/binary"
	"runtime"
	"testing"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/connection"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
)

// inside calls f with a packet while its handler runs, so that f can show it to a Tracker
// again and again. f may edit the packet in place: it is dropped.
func inside(tb testing.TB, packet []byte, f func(p *nfqueue.Packet)) {
	nfqueuetest.Do(tb, nfqueue.Config{}, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		f(p)
		return nfqueue.Drop
	}), nfqueuetest.Spec{Payload: packet})
}

// client makes the n-th of many clients send a packet of the IPv4 TCP packet p.
func client(p *nfqueue.Packet, n int) {
	b := p.Payload()
	binary.BigEndian.PutUint32(b[12:], 0x0a000000+uint32(n>>14))
	binary.BigEndian.PutUint16(b[20:], uint16(1024+n&0x3fff))
}

func TestNoAllocations(t *testing.T) {
	for name, answer := range map[string]connection.Answer{"accepted": connection.Accept,
		"undecided": connection.More} {
		tr := connection.New(connection.Config{MaxPackets: 1 << 30},
			connection.HandlerFunc(func(*connection.Conn) connection.Answer { return answer }))
		inside(t, ends4.data(0, "some text"), func(p *nfqueue.Packet) {
			for n := range 1000 {
				client(p, n)
				tr.ServePacket(p)
			}
			n := 0
			if got := testing.AllocsPerRun(1000, func() {
				client(p, n)
				n = (n + 1) % 1000
				tr.ServePacket(p)
			}); got != 0 {
				t.Errorf("%s: %v allocations for a packet", name, got)
			}
		})
		if s := tr.Stats(); s.Opened != 1000 {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

// heap returns how many bytes are in use.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// An undecided connection costs at most 1 KiB, and its bytes, also when connections come
// and go.
func TestMemory(t *testing.T) {
	const conns, body = 200_000, 64
	tr := connection.New(connection.Config{MaxConns: conns}, connection.HandlerFunc(more))
	before := heap()
	for round := range 3 {
		inside(t, ends4.data(0, string(make([]byte, body))), func(p *nfqueue.Packet) {
			for n := range conns {
				client(p, round*conns+n)
				tr.ServePacket(p)
			}
		})
		each := float64(heap()-before) / conns
		if s := tr.Stats(); s.Undecided != conns || s.Memory < conns*body {
			t.Errorf("%+v", s)
		}
		t.Logf("round %d: %.0f bytes for each, with the %d that it said", round, each, body)
		if each > 1024+body {
			t.Errorf("%.0f bytes for each", each)
		}
	}
	runtime.KeepAlive(tr)
}

func BenchmarkKnownConnection(b *testing.B) {
	tr := connection.New(connection.Config{}, connection.HandlerFunc(accept))
	inside(b, ends4.data(0, "some text"), func(p *nfqueue.Packet) {
		b.ReportAllocs()
		for n := 0; b.Loop(); n++ {
			client(p, n%1000)
			tr.ServePacket(p)
		}
	})
}

func BenchmarkNewConnection(b *testing.B) {
	tr := connection.New(connection.Config{MaxConns: 1000}, connection.HandlerFunc(accept))
	inside(b, ends4.data(0, "some text"), func(p *nfqueue.Packet) {
		b.ReportAllocs()
		for n := 0; b.Loop(); n++ {
			client(p, n)
			tr.ServePacket(p)
		}
	})
}

func accept(*connection.Conn) connection.Answer { return connection.Accept }
