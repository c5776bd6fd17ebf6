// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue_test

import (
	"net/netip"
	"testing"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
)

// verdictLab is a loopback interface with a chain that queues datagrams at output.
type verdictLab struct {
	*netlab.Host
	queueing *netlab.Chain
	in       func(data string)               // sends
	out      func(t *testing.T, d ...string) // checks what arrives next
}

func newVerdictLab(t *testing.T, rules netlab.Family, lo netip.Addr) verdictLab {
	h := labtest.Host(t)
	l := listenUDP(t, h, netip.AddrPortFrom(lo, port))
	c := dialUDP(t, h, netip.AddrPortFrom(lo, port))
	return verdictLab{
		Host:     h,
		queueing: labtest.Chain(t, h, rules, netlab.Output, 0),
		in:       func(data string) { send(t, c, data) },
		out:      func(t *testing.T, d ...string) { t.Helper(); receive(t, l, d...) },
	}
}

// counted adds a chain behind the queueing one that counts datagrams, and then does
// what the expressions say.
func counted(t *testing.T, h *netlab.Host, rules netlab.Family, then ...netlab.Expr) *netlab.Rule {
	t.Helper()
	later := labtest.Chain(t, h, rules, netlab.Output, 10)
	return labtest.Rule(t, later, append([]netlab.Expr{netlab.L4Proto(udp), netlab.DstPort(port), netlab.Counter()}, then...)...)
}

func wantCount(t *testing.T, r *netlab.Rule, what string, want uint64) {
	t.Helper()
	got, _, err := r.Count()
	labtest.Must(t, err)
	if got != want {
		t.Errorf("%s saw %d packets, want %d", what, got, want)
	}
}

// TestVerdicts checks each verdict by what the rules behind it and the receiver see.
func TestVerdicts(t *testing.T) {
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			t.Run("drop and accept", func(t *testing.T) {
				lab := newVerdictLab(t, f.rules, f.lo)
				queueUDP(t, lab.queueing, netlab.Queue{Num: 1})
				skipped := labtest.Rule(t, lab.queueing, netlab.L4Proto(udp), netlab.Counter())
				later := counted(t, lab.Host, f.rules)
				serve(t, lab.Host, nfqueue.Config{Queue: 1}, func(p *nfqueue.Packet) nfqueue.Verdict {
					if text(p) == "drop me" {
						return nfqueue.Drop
					}
					return nfqueue.Accept
				})
				lab.in("one")
				lab.in("drop me")
				lab.in("two")
				lab.out(t, "one", "two")
				wantCount(t, skipped, "the rest of the queueing chain", 0)
				wantCount(t, later, "the later chain", 2)
			})
			t.Run("repeat until a mark", func(t *testing.T) {
				lab := newVerdictLab(t, f.rules, f.lo)
				marked := labtest.Rule(t, lab.queueing, netlab.Mark(0x42), netlab.Counter(), netlab.Accept())
				queueUDP(t, lab.queueing, netlab.Queue{Num: 1})
				ids := make(chan uint32, 3)
				serve(t, lab.Host, nfqueue.Config{Queue: 1}, func(p *nfqueue.Packet) nfqueue.Verdict {
					ids <- p.ID()
					if p.ID() == 3 {
						p.SetMark(0x42)
					}
					return nfqueue.Repeat
				})
				lab.in("again")
				lab.out(t, "again")
				for want := uint32(1); want <= 3; want++ {
					if id := waitFor(t, ids); id != want {
						t.Errorf("id %d, want %d", id, want)
					}
				}
				wantCount(t, marked, "the rule for the mark", 1)
			})
			t.Run("stop skips a dropping chain", func(t *testing.T) {
				lab := newVerdictLab(t, f.rules, f.lo)
				queueUDP(t, lab.queueing, netlab.Queue{Num: 1})
				dropping := counted(t, lab.Host, f.rules, netlab.Drop())
				serve(t, lab.Host, nfqueue.Config{Queue: 1}, func(p *nfqueue.Packet) nfqueue.Verdict {
					if text(p) == "stop" {
						return nfqueue.Stop
					}
					return nfqueue.Accept
				})
				lab.in("accept is dropped later")
				lab.in("stop")
				lab.out(t, "stop")
				wantCount(t, dropping, "the dropping chain", 1)
			})
			t.Run("to another queue", func(t *testing.T) {
				lab := newVerdictLab(t, f.rules, f.lo)
				queueUDP(t, lab.queueing, netlab.Queue{Num: 1})
				serve(t, lab.Host, nfqueue.Config{Queue: 1}, func(p *nfqueue.Packet) nfqueue.Verdict { return nfqueue.ToQueue(2) })
				second := make(chan seen, 2)
				serve(t, lab.Host, nfqueue.Config{Queue: 2}, func(p *nfqueue.Packet) nfqueue.Verdict {
					second <- look(p)
					if p.Queue() != 2 {
						t.Errorf("queue %d, want 2", p.Queue())
					}
					return nfqueue.Accept
				})
				lab.in("handed on")
				lab.out(t, "handed on")
				if s := waitFor(t, second); s.text != "handed on" {
					t.Errorf("second queue saw %q", s.text)
				}
			})
			t.Run("to a queue of nobody", func(t *testing.T) {
				lab := newVerdictLab(t, f.rules, f.lo)
				queueUDP(t, lab.queueing, netlab.Queue{Num: 1})
				serve(t, lab.Host, nfqueue.Config{Queue: 1}, func(p *nfqueue.Packet) nfqueue.Verdict {
					if text(p) == "with bypass" {
						return nfqueue.ToQueueOrAccept(99)
					}
					return nfqueue.ToQueue(99)
				})
				lab.in("without bypass")
				lab.in("with bypass")
				lab.out(t, "with bypass")
			})
		})
	}
}

// TestInvalidVerdictGetsFallback returns what the kernel would refuse.
func TestInvalidVerdictGetsFallback(t *testing.T) {
	lab := newVerdictLab(t, netlab.IP, localhost)
	queueUDP(t, lab.queueing, netlab.Queue{Num: 1})
	invalid := []nfqueue.Verdict{2, 6, nfqueue.Deferred, nfqueue.Accept | 1<<16, nfqueue.ToQueue(1) | 0x4000}
	q := serve(t, lab.Host, nfqueue.Config{Queue: 1, Fallback: nfqueue.Accept}, func(p *nfqueue.Packet) nfqueue.Verdict {
		return invalid[p.ID()-1]
	})
	for range invalid {
		lab.in("falls back")
	}
	for range invalid {
		lab.out(t, "falls back")
	}
	if s := q.Stats(); s.Fallback.Invalid != uint64(len(invalid)) || s.Accepted != s.Received {
		t.Errorf("%+v", s)
	}
}

// TestMark sets marks and reads them back at the next hook.
func TestMark(t *testing.T) {
	lab := newVerdictLab(t, netlab.IP, localhost)
	queueUDP(t, lab.queueing, netlab.Queue{Num: 1})
	queueUDP(t, labtest.Chain(t, lab.Host, netlab.IP, netlab.Postrouting, 0), netlab.Queue{Num: 2})
	serve(t, lab.Host, nfqueue.Config{Queue: 1}, func(p *nfqueue.Packet) nfqueue.Verdict {
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
	serve(t, lab.Host, nfqueue.Config{Queue: 2}, func(p *nfqueue.Packet) nfqueue.Verdict {
		priority, ok := p.Priority()
		got <- values{p.Mark(), priority, ok}
		return nfqueue.Accept
	})
	lab.in("marked")
	lab.out(t, "marked")
	v := waitFor(t, got)
	if v.mark != 0xdeadbeef {
		t.Errorf("mark %#x, want 0xdeadbeef", v.mark)
	}
	if v.ok && v.priority != 0x10007 || !v.ok && labtest.AtLeast(t, 5, 18) {
		t.Errorf("priority %#x, %v; want 0x10007", v.priority, v.ok)
	}
}
