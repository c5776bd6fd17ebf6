// SPDX-License-Identifier: GPL-2.0-or-later

package queue_test

import (
	"testing"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
)

// TestVerdicts checks each verdict by what the rules behind it and the receiver see.
func TestVerdicts(t *testing.T) {
	for _, f := range queuelab.Families {
		t.Run(f.Name, func(t *testing.T) {
			t.Run("drop and accept", func(t *testing.T) {
				lab := queuelab.NewVerdictLab(t, f.Rules, f.Loopback)
				queuelab.QueueUDP(t, lab.Queueing, netlab.Queue{Num: 1})
				skipped := labtest.Rule(t, lab.Queueing, netlab.L4Proto(queuelab.UDP), netlab.Counter())
				later := queuelab.Counted(t, lab.Host, f.Rules)
				queuelab.Serve(t, lab.Host, nfqueue.Config{Queue: 1}, func(p *nfqueue.Packet) nfqueue.Verdict {
					if queuelab.Text(p) == "drop me" {
						return nfqueue.Drop
					}
					return nfqueue.Accept
				})
				lab.In("one")
				lab.In("drop me")
				lab.In("two")
				lab.Out(t, "one", "two")
				queuelab.WantCount(t, skipped, "the rest of the queueing chain", 0)
				queuelab.WantCount(t, later, "the later chain", 2)
			})
			t.Run("repeat until a mark", func(t *testing.T) {
				lab := queuelab.NewVerdictLab(t, f.Rules, f.Loopback)
				marked := labtest.Rule(t, lab.Queueing, netlab.Mark(0x42), netlab.Counter(), netlab.Accept())
				queuelab.QueueUDP(t, lab.Queueing, netlab.Queue{Num: 1})
				ids := make(chan uint32, 3)
				queuelab.Serve(t, lab.Host, nfqueue.Config{Queue: 1}, func(p *nfqueue.Packet) nfqueue.Verdict {
					ids <- p.ID()
					if p.ID() == 3 {
						p.SetMark(0x42)
					}
					return nfqueue.Repeat
				})
				lab.In("again")
				lab.Out(t, "again")
				for want := uint32(1); want <= 3; want++ {
					if id := queuelab.WaitFor(t, ids); id != want {
						t.Errorf("id %d, want %d", id, want)
					}
				}
				queuelab.WantCount(t, marked, "the rule for the mark", 1)
			})
			t.Run("stop skips a dropping chain", func(t *testing.T) {
				lab := queuelab.NewVerdictLab(t, f.Rules, f.Loopback)
				queuelab.QueueUDP(t, lab.Queueing, netlab.Queue{Num: 1})
				dropping := queuelab.Counted(t, lab.Host, f.Rules, netlab.Drop())
				queuelab.Serve(t, lab.Host, nfqueue.Config{Queue: 1}, func(p *nfqueue.Packet) nfqueue.Verdict {
					if queuelab.Text(p) == "stop" {
						return nfqueue.Stop
					}
					return nfqueue.Accept
				})
				lab.In("accept is dropped later")
				lab.In("stop")
				lab.Out(t, "stop")
				queuelab.WantCount(t, dropping, "the dropping chain", 1)
			})
			t.Run("to another queue", func(t *testing.T) {
				lab := queuelab.NewVerdictLab(t, f.Rules, f.Loopback)
				queuelab.QueueUDP(t, lab.Queueing, netlab.Queue{Num: 1})
				queuelab.Serve(t, lab.Host, nfqueue.Config{Queue: 1},
					func(p *nfqueue.Packet) nfqueue.Verdict { return nfqueue.ToQueue(2) })
				second := make(chan seen, 2)
				queuelab.Serve(t, lab.Host, nfqueue.Config{Queue: 2}, func(p *nfqueue.Packet) nfqueue.Verdict {
					second <- look(p)
					if p.Queue() != 2 {
						t.Errorf("queue %d, want 2", p.Queue())
					}
					return nfqueue.Accept
				})
				lab.In("handed on")
				lab.Out(t, "handed on")
				if s := queuelab.WaitFor(t, second); s.text != "handed on" {
					t.Errorf("second queue saw %q", s.text)
				}
			})
			t.Run("to a queue of nobody", func(t *testing.T) {
				lab := queuelab.NewVerdictLab(t, f.Rules, f.Loopback)
				queuelab.QueueUDP(t, lab.Queueing, netlab.Queue{Num: 1})
				queuelab.Serve(t, lab.Host, nfqueue.Config{Queue: 1}, func(p *nfqueue.Packet) nfqueue.Verdict {
					if queuelab.Text(p) == "with bypass" {
						return nfqueue.ToQueueOrAccept(99)
					}
					return nfqueue.ToQueue(99)
				})
				lab.In("without bypass")
				lab.In("with bypass")
				lab.Out(t, "with bypass")
			})
		})
	}
}

// TestInvalidVerdictGetsFallback returns verdicts that the kernel would refuse.
func TestInvalidVerdictGetsFallback(t *testing.T) {
	lab := queuelab.NewVerdictLab(t, netlab.IP, queuelab.Localhost)
	queuelab.QueueUDP(t, lab.Queueing, netlab.Queue{Num: 1})
	invalid := []nfqueue.Verdict{2, 6, nfqueue.Deferred, nfqueue.Accept | 1<<16,
		nfqueue.ToQueue(1) | 0x4000}
	q := queuelab.Serve(t, lab.Host, nfqueue.Config{Queue: 1, Fallback: nfqueue.Accept},
		func(p *nfqueue.Packet) nfqueue.Verdict {
			return invalid[p.ID()-1]
		})
	for range invalid {
		lab.In("falls back")
	}
	for range invalid {
		lab.Out(t, "falls back")
	}
	if s := q.Stats(); s.Fallback.Invalid != uint64(len(invalid)) || s.Accepted != s.Received {
		t.Errorf("%+v", s)
	}
}

// TestMark sets marks and reads them back at the next hook.
func TestMark(t *testing.T) {
	lab := queuelab.NewVerdictLab(t, netlab.IP, queuelab.Localhost)
	queuelab.QueueUDP(t, lab.Queueing, netlab.Queue{Num: 1})
	queuelab.QueueUDP(t, labtest.Chain(t, lab.Host, netlab.IP, netlab.Postrouting, 0),
		netlab.Queue{Num: 2})
	queuelab.Serve(t, lab.Host, nfqueue.Config{Queue: 1}, func(p *nfqueue.Packet) nfqueue.Verdict {
		if m := p.Mark(); m != 0 {
			t.Errorf("mark %#x before it was set", m)
		}
		p.SetMark(0xdeadbeef)
		p.SetPriority(0x10007)
		return nfqueue.Accept
	})
	type values struct {
		mark, priority uint32
		ok             bool
	}
	got := make(chan values, 1)
	queuelab.Serve(t, lab.Host, nfqueue.Config{Queue: 2}, func(p *nfqueue.Packet) nfqueue.Verdict {
		priority, ok := p.Priority()
		got <- values{p.Mark(), priority, ok}
		return nfqueue.Accept
	})
	lab.In("marked")
	lab.Out(t, "marked")
	v := queuelab.WaitFor(t, got)
	if v.mark != 0xdeadbeef {
		t.Errorf("mark %#x, want 0xdeadbeef", v.mark)
	}
	if v.ok && v.priority != 0x10007 || !v.ok && labtest.AtLeast(t, 5, 18) {
		t.Errorf("priority %#x, %v; want 0x10007", v.priority, v.ok)
	}
}

// TestRounds has a packet come round without a mark that the rule leaves alone.
func TestRounds(t *testing.T) {
	const rounds = 1000
	for _, again := range []nfqueue.Verdict{nfqueue.Repeat, nfqueue.ToQueue(1)} {
		t.Run(again.String(), func(t *testing.T) {
			lab := queuelab.NewVerdictLab(t, netlab.IP, queuelab.Localhost)
			queuelab.QueueUDP(t, lab.Queueing, netlab.Queue{Num: 1})
			var log queuelab.Log
			q := queuelab.Serve(t, lab.Host, nfqueue.Config{Queue: 1, Logger: log.Logger()},
				func(p *nfqueue.Packet) nfqueue.Verdict {
					if p.ID() > rounds {
						return nfqueue.Accept
					}
					return again
				})
			lab.In("again")
			lab.Out(t, "again")
			if got := q.Stats().Looped; got != rounds-99 {
				t.Errorf("%d rounds are counted", got)
			}
			log.Want(t, "a packet comes round again and again ... id=100 ... 127.0.0.1")
		})
	}
}
