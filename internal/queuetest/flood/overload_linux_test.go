// SPDX-License-Identifier: GPL-2.0-or-later

package flood_test

import (
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
)

// slow is a handler that cannot keep up with a flood.
var slow = nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
	if p.ID()%10 == 0 {
		time.Sleep(time.Millisecond) // the work of the handler
	}
	return nfqueue.Accept
})

// TestOverloadDrops: the kernel drops and counts the packets that do not fit; the others are
// decided.
func TestOverloadDrops(t *testing.T) {
	l := newLoopLab(t, netlab.Queue{Num: 1})
	s := l.serve(nfqueue.Config{MaxLen: 20}, slow)
	flood := l.flood(4)
	s.awaitHandled(200)
	sent := flood()
	await(t, "the rest is decided", func() bool { k := s.Stats().Kernel; return k == nil || k.Backlog == 0 })
	k := s.Stats().Kernel
	effective := s.shutdown()
	s.wantPassed(effective)
	if effective >= sent || s.Stats().Lost != 0 {
		t.Errorf("%d datagrams were sent: %+v", sent, s.Stats())
	}
	if k != nil && effective+uint64(k.QueueDropped) != sent {
		t.Errorf("%d datagrams were sent, %d decided, %d dropped", sent, effective, k.QueueDropped)
	}
}

// TestOverloadFailsOpen: packets that do not fit pass, whether the queue or the receive buffer is
// full.
func TestOverloadFailsOpen(t *testing.T) {
	for name, cfg := range map[string]nfqueue.Config{
		"queue":  {MaxLen: 20},
		"buffer": {ReadBuffer: 1},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLoopLab(t, netlab.Queue{Num: 1})
			cfg.Flags = nfqueue.FailOpen
			s := l.serve(cfg, slow)
			flood := l.flood(4)
			s.awaitHandled(200)
			sent := flood()
			effective := s.shutdown()
			if passed := l.count(); passed != sent || effective >= sent {
				t.Errorf("%d datagrams were sent, %d have gone on, %d of them decided: %+v", sent, passed,
					effective, s.Stats())
			}
		})
	}
}

// TestOverloadBypass: with bypass a flood loses nothing when its queue is shut down, with the
// Fallback Accept, and passes while nobody has bound the queue. It does not cover a queue that is
// full.
func TestOverloadBypass(t *testing.T) {
	l := newLoopLab(t, netlab.Queue{Num: 1, Bypass: true})
	for range 10 {
		before := l.count()
		// The flood begins behind Open: the kernel may drop a packet between bind and configuration.
		s := l.serve(nfqueue.Config{Fallback: nfqueue.Accept}, queuelab.Always(nfqueue.Accept))
		flood := l.flood(2)
		s.awaitHandled(200)
		s.shutdown()
		l.awaitPassed(200)
		if sent, passed := flood(), l.count()-before; passed != sent {
			t.Errorf("%d datagrams were sent, %d have gone on", sent, passed)
		}
	}

	s := l.serve(nfqueue.Config{MaxLen: 20}, slow)
	before := l.count()
	flood := l.flood(4)
	s.awaitHandled(200)
	sent := flood()
	if effective := s.shutdown(); l.count() != before+effective || effective >= sent {
		t.Errorf("%d datagrams were sent, %d have gone on", sent, l.count()-before)
	}
}
