// SPDX-License-Identifier: GPL-2.0-or-later

package conformance

import (
	"strings"

	"github.com/chifflier/nfqueue-go/internal/kernel"
)

// bound opens a socket with queue 0 bound to it, with room for n packets.
func (l lab) bound(n uint32) Socket {
	l.Helper()
	s := l.Dial()
	l.Cleanup(s.Close)
	l.wantAnswer(s, config(cmd(cmdBind), params(0, 2), maxLen(n)), 0)
	return s
}

func (l lab) wantAnswer(s Socket, m message, errno int32) {
	l.Helper()
	if got := ask(s, m); got[1] != errno || len(got) != 1 {
		l.Errorf("answers %v, want %d (%v)", got, errno, kernel.Error(errno))
	}
}

func (l lab) wantPassed(n int) {
	l.Helper()
	if got := l.Passed(); got != n {
		l.Errorf("%d have passed, want %d", got, n)
	}
}

// The kernel compares all 32 bits of a verdict, unless it drops.
func testUpperBits(l lab) {
	s := l.bound(100)
	passed := 0
	for i, c := range []struct {
		verdict uint32
		passes  bool
	}{
		{0x00010000, false},
		{0x00010001, true}, // as STOP
		{0x00010004, false},
		{0x00010005, true},
		{0x00070003, false}, // queue 7, which nobody has bound
		{0x00078003, true},
		{1, true},
	} {
		l.send("upper bits")
		l.wantAnswer(s, verdict(verdictHdr(c.verdict, uint32(i+1))), 0)
		if c.passes {
			passed++
		}
		l.wantPassed(passed)
	}
}

// A batch reaches from the oldest packet to the last whose id is not after the given one, in
// wrap-around arithmetic.
func testBatchReach(l lab) {
	for _, c := range []struct {
		id    uint32
		takes int
	}{
		{0, 0},
		{1, 1},
		{3, 3},
		{5, 5},
		{1000, 5},
		{1 + 0x7fffffff, 5},
		{1 + 0x80000001, 0},
		{0xffffffff, 0},
	} {
		s, before := l.bound(100), l.Passed()
		l.send(names(5)...)
		errno := int32(0)
		if c.takes == 0 {
			errno = enoent
		}
		l.wantAnswer(s, request(msgVerdictBatch, verdictHdr(1, c.id)), errno)
		l.wantPassed(before + c.takes)
		l.wantAnswer(s, request(msgVerdictBatch, verdictHdr(1, c.id)), enoent)
		l.wantAnswer(s, config(cmd(cmdUnbind)), 0)
		l.wantPassed(before + c.takes)
	}
}

// A batch may set a mark, but no payload.
func testBatchAttributes(l lab) {
	s := l.bound(100)
	l.send("a", "b")
	payload := attr(10, []byte(strings.Repeat("x", 40))...)
	l.wantAnswer(s, request(msgVerdictBatch, verdictHdr(1, 2), attr(3, 0, 0, 0, 1), payload), 0)
	l.wantReceived("a", "b")
	if n := l.Marked(); n != 2 {
		l.Errorf("%d marked", n)
	}
}

// All packets of a batch leave the queue before the first of them is queued again.
func testBatchOfRepeats(l lab) {
	s := l.bound(2)
	l.send("a", "b")
	l.wantAnswer(s, request(msgVerdictBatch, verdictHdr(4, 1000)), 0)
	l.wantAnswer(s, verdict(verdictHdr(1, 2)), enoent)
	l.wantAnswer(s, verdict(verdictHdr(1, 3)), 0)
	l.wantAnswer(s, request(msgVerdictBatch, verdictHdr(1, 4)), 0)
	l.wantReceived("a", "b")
}
