// SPDX-License-Identifier: GPL-2.0-or-later

package demo

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/chifflier/nfqueue-go"
)

const rowFormat = "%-34s %-3v %8v %6v %4v %4v %4v %4v %8v %8v  %s\n"

// report shows the flows and returns how many of them failed.
func (s *screen) report(all flows) (failed int) {
	s.printf("\n"+rowFormat, "FLOW", "IP", "SENT", "ACCEPT", "DROP", "EDIT", "MARK", "RULE",
		"RECEIVED", "EXPECTED", "RESULT")
	var problems []string
	for _, f := range all.inOrder() {
		result := s.paint(green, "ok")
		if problem := f.problem(); problem != "" {
			failed++
			problems = append(problems, fmt.Sprintf("%v, %v: %s", f.kind, f.family, problem))
			result = s.paint(red, "FAILED")
		}
		rule := "-"
		if f.kind.marked() {
			rule = strconv.FormatUint(f.matched, 10)
		}
		t := f.tally
		s.printf(rowFormat, f.kind, f.family, f.amount(f.sent), t.accepted, t.dropped, t.rewritten,
			t.marked, rule, f.amount(f.got), f.amount(f.want), result)
	}
	for _, problem := range problems {
		s.printf("%s %s\n", s.paint(red, "FAILED"), problem)
	}
	return failed
}

// amount is the number of datagrams, or the length of a stream.
func (f *flow) amount(list [][]byte) string {
	if f.kind.stream() {
		return strconv.Itoa(len(bytes.Join(list, nil))) + " B"
	}
	return strconv.Itoa(len(list))
}

// problem says what is wrong with a flow, "" if nothing is.
func (f *flow) problem() string {
	for i := range max(len(f.got), len(f.want)) {
		switch {
		case i == len(f.got):
			return "the far end did not receive " + excerpt(f.want[i], 0)
		case i == len(f.want):
			return "the far end received, and should not have, " + excerpt(f.got[i], 0)
		case !bytes.Equal(f.got[i], f.want[i]):
			at := difference(f.got[i], f.want[i])
			return fmt.Sprintf("from byte %d on the far end received %s, expected was %s", at,
				excerpt(f.got[i], at), excerpt(f.want[i], at))
		}
	}
	switch {
	case len(f.sent) == 0:
		return "nothing was sent"
	case f.kind.stream() && f.tally.queued() == 0 || !f.kind.stream() &&
		f.tally.queued() != len(f.sent):
		return "the number of packets queued does not fit to what was sent"
	case f.kind.marked() && f.matched != uint64(len(f.sent)):
		return "the rule behind the queue did not see the mark on each packet"
	}
	return ""
}

// difference returns the offset of the first byte that differs.
func difference(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

// excerpt quotes the beginning of b from an offset on.
func excerpt(b []byte, at int) string {
	const enough = 32
	if b = b[at:]; len(b) > enough {
		return fmt.Sprintf("%q...", b[:enough])
	}
	return fmt.Sprintf("%q", b)
}

// summary describes the queue as a whole.
func (s *screen) summary(h *handler, q nfqueue.Stats) {
	if !s.all {
		s.printf("... %d packets in all, IPv6 treated alike; nfq demo -v shows each\n", q.Received)
	}
	s.printf(
		"\n%d packets in %d receive calls, %d sends; %d above the MTU (GSO), up to %d bytes; %d lost\n",
		q.Received,
		q.Batches,
		q.Sends,
		h.segmented,
		h.largest,
		q.Lost,
	)
}
