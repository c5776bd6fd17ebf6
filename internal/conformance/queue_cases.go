// SPDX-License-Identifier: GPL-2.0-or-later

package conformance

import (
	"fmt"
	"slices"
	"strings"

	"github.com/chifflier/nfqueue-go"
)

var queueCases = []struct {
	name string
	rule Rule
	test func(lab)
}{
	{"verdicts", Rule{}, testVerdicts},
	{"repeat until mark", Rule{}, testRepeat},
	{"requeue", Rule{}, testRequeue},
	{"edits", Rule{}, testEdits},
	{"partial checksum", Rule{}, testPartialChecksum},
	{"payload shorter than headers", Rule{}, testShortPayload},
	{"copy range", Rule{}, testCopyRange},
	{"ids", Rule{}, testIDs},
	{"batch", Rule{}, testBatch},
	{"batch above a held packet", Rule{}, testBatchAboveHeld},
	{"queue full", Rule{}, testQueueFull},
	{"queue full, fail-open", Rule{}, testQueueFullFailOpen},
	{"receive buffer holds the queue", Rule{}, testBufferHoldsQueue},
	{"receive buffer full", Rule{}, testBufferFull},
	{"receive buffer full, fail-open", Rule{}, testBufferFullFailOpen},
	{"copy mode none", Rule{Bypass: true}, testModeNone},
	{"flush", Rule{}, testFlush},
	{"queue in use", Rule{}, testQueueInUse},
	{"not bound", Rule{}, testNotBound},
	{"not bound, bypass", Rule{Bypass: true}, testNotBoundBypass},
	{"close with packets pending", Rule{Bypass: true}, testClosePending},
	{"shutdown, fallback drop", Rule{}, testShutdown(nfqueue.Drop)},
	{"shutdown, fallback accept", Rule{}, testShutdown(nfqueue.Accept)},
	{"shutdown serves what waits", Rule{}, testShutdownServes},
	{"close unblocks serve", Rule{}, testCloseUnblocksServe},
	{"handler panics", Rule{}, testPanic},
	{"live changes", Rule{}, testLiveChanges},
	{"kernel's account", Rule{Queue: 7}, testAccount},
	{"upper bits of verdicts", Rule{}, testUpperBits},
	{"reach of a batch", Rule{}, testBatchReach},
	{"attributes of a batch", Rule{}, testBatchAttributes},
	{"batch of repeats", Rule{}, testBatchOfRepeats},
}

// names returns n different texts.
func names(n int) []string {
	s := make([]string, n)
	for i := range s {
		s[i] = fmt.Sprintf("datagram %02d", i+1)
	}
	return s
}

func testVerdicts(l lab) {
	q := l.open(nfqueue.Config{})
	l.send("drop", "accept", "stop", "nobody's queue", "nobody's queue, or accept")
	got := l.drain(q, by(map[string]nfqueue.Verdict{
		"accept": nfqueue.Accept, "stop": nfqueue.Stop,
		"nobody's queue": nfqueue.ToQueue(9), "nobody's queue, or accept": nfqueue.ToQueueOrAccept(9),
	}))
	l.wantReceived("accept", "stop", "nobody's queue, or accept")
	if got.Received != 5 || got.Refused+got.TooLate != 0 {
		l.Errorf("%+v", got)
	}
}

func testRepeat(l lab) {
	q := l.open(nfqueue.Config{})
	l.send("repeat")
	var ids []uint32
	s := l.serve(q, func(p *nfqueue.Packet) nfqueue.Verdict {
		if ids = append(ids, p.ID()); len(ids) == 3 {
			p.SetMark(2) // now the rule does not match
		}
		return nfqueue.Repeat
	})
	l.wantReceived("repeat")
	s.stop()
	if !slices.Equal(ids, []uint32{1, 2, 3}) {
		l.Errorf("ids %v", ids)
	}
}

func testRequeue(l lab) {
	first, second := l.open(nfqueue.Config{}), l.open(nfqueue.Config{Queue: 1})
	l.send("a", "b", "c")
	l.drain(
		first,
		by(
			map[string]nfqueue.Verdict{
				"a": nfqueue.ToQueue(1),
				"b": nfqueue.Drop,
				"c": nfqueue.ToQueueOrAccept(1),
			},
		),
	)
	if n := l.Passed(); n != 0 {
		l.Errorf("%d have passed before the second queue", n)
	}
	var ids []uint32
	l.drain(second, func(p *nfqueue.Packet) nfqueue.Verdict {
		ids = append(ids, p.ID())
		if p.Queue() != 1 {
			l.Errorf("queue %d", p.Queue())
		}
		return nfqueue.Accept
	})
	if !slices.Equal(ids, []uint32{1, 2}) {
		l.Errorf("ids %v", ids)
	}
	l.wantReceived("a", "c")
}

func testEdits(l lab) {
	l.NeedReplace()
	q := l.open(nfqueue.Config{})
	l.send("mark", "other mark", "payload", "longer", "much longer", "shorter", "both", "unchanged")
	l.drain(q, func(p *nfqueue.Packet) nfqueue.Verdict {
		b := p.Payload()
		set := func(b []byte) {
			if err := p.SetPayload(b); err != nil {
				l.Error(err)
			}
		}
		switch text(p) {
		case "mark":
			p.SetMark(1)
		case "other mark":
			p.SetMark(3)
		case "payload":
			copy(b[len(b)-7:], "PAYLOAD")
			set(b)
		case "longer":
			set(append(b, " than it was"...))
		case "much longer":
			set(append(b, strings.Repeat("x", 3000)...))
		case "shorter":
			set(b[:len(b)-2])
		case "both":
			p.SetMark(1)
			set(append(b, " of them"...))
		case "unchanged":
			set(b)
		}
		return nfqueue.Accept
	})
	l.wantReceived(
		"mark", "other mark", "PAYLOAD", "longer than it was", "much longer"+strings.Repeat("x", 3000),
		"short", "both of them", "unchanged",
	)
	if n := l.Marked(); n != 2 {
		l.Errorf("%d datagrams with the mark, want 2", n)
	}
}

// Ids start with 1 each time a queue is bound.
func testIDs(l lab) {
	for range 2 {
		q := l.open(nfqueue.Config{})
		l.send(names(5)...)
		next := uint32(1)
		got := l.drain(q, func(p *nfqueue.Packet) nfqueue.Verdict {
			if p.ID() != next || text(p) != names(5)[next-1] {
				l.Errorf("packet %d is %q", p.ID(), text(p))
			}
			if p.Hook() != nfqueue.HookOutput || p.Family() != nfqueue.FamilyIPv4 ||
				p.EtherType() != 0x0800 ||
				p.OutDevName() != "lo" ||
				p.InDev() != 0 {
				l.Errorf(
					"%v %v %#x in %d out %s", p.Hook(), p.Family(), p.EtherType(), p.InDev(), p.OutDevName(),
				)
			}
			next++
			return nfqueue.Drop
		})
		if next != 6 || got.Lost != 0 {
			l.Errorf("%d packets, %d lost", next-1, got.Lost)
		}
	}
	l.wantReceived()
}

// Runs of equal verdicts become VERDICT_BATCH messages.
func testBatch(l lab) {
	const packets = 60
	q := l.open(nfqueue.Config{})
	l.send(names(packets)...)
	got := l.drain(q, func(p *nfqueue.Packet) nfqueue.Verdict {
		if p.ID()%20 == 0 {
			return nfqueue.Drop
		}
		return nfqueue.Accept
	})
	var want []string
	for i, s := range names(packets) {
		if (i+1)%20 != 0 {
			want = append(want, s)
		}
	}
	l.wantReceived(want...)
	if got.TooLate+got.Refused != 0 {
		l.Errorf("%+v", got)
	}
}

func testBatchAboveHeld(l lab) {
	q := l.open(nfqueue.Config{})
	l.send(names(6)...)
	held := make(chan *nfqueue.Held, 1)
	s := l.serve(q, func(p *nfqueue.Packet) nfqueue.Verdict {
		if p.ID() == 2 {
			held <- p.Defer()
			return nfqueue.Deferred
		}
		return nfqueue.Accept
	})
	others := slices.Delete(names(6), 1, 2)
	l.wantReceived(others...)
	h := <-held
	h.Packet().SetMark(1)
	if err := h.Resolve(nfqueue.Accept); err != nil {
		l.Error(err)
	}
	l.wantToCome(names(6)[1])
	if got := s.stop(); got.TooLate != 0 || l.Marked() != 1 {
		l.Errorf("%+v, %d marked", got, l.Marked())
	}
}

// CopyNone drops all packets, without counting them and in spite of bypass.
func testModeNone(l lab) {
	q := l.open(nfqueue.Config{CopyMode: nfqueue.CopyNone, Flags: nfqueue.FailOpen})
	l.send("none")
	if k := q.Stats().Kernel; k != nil && (k.QueueDropped+k.UserDropped != 0 || k.LastID != 0) {
		l.Errorf("%+v", *k)
	}
	l.wantReceived()
}

// Verdicts for packets that the kernel has dropped meanwhile have no effect.
func testFlush(l lab) {
	q := l.open(nfqueue.Config{})
	l.send("a", "b")
	held := make(chan *nfqueue.Held, 2)
	s := l.serve(q, func(p *nfqueue.Packet) nfqueue.Verdict {
		if text(p) == "c" {
			return nfqueue.Accept
		}
		held <- p.Defer()
		return nfqueue.Deferred
	})
	for _, h := range []*nfqueue.Held{<-held, <-held} {
		if h.Packet().ID() == 1 {
			l.Flush()
		}
		if err := h.Resolve(nfqueue.Accept); err != nil {
			l.Error(err)
		}
	}
	l.send("c")
	l.wantReceived("c")
	if got := s.stop(); got.TooLate != 2 || got.Refused != 0 {
		l.Errorf("%+v", got)
	}
}
