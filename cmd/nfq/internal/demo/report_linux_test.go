// SPDX-License-Identifier: GPL-2.0-or-later

package demo

import (
	"bytes"
	"testing"

	"github.com/chifflier/nfqueue-go"
)

func TestProblem(t *testing.T) {
	a, b := []byte("the cat"), []byte("the dog")
	list := func(l ...[]byte) [][]byte { return l }
	for _, test := range []struct {
		kind            kind
		sent, want, got [][]byte
		tally           tally
		matched         uint64
		problem         string
	}{
		{udpAccepted, list(a), list(a), list(a), tally{accepted: 1}, 0, ""},
		{udpDropped, list(a), nil, nil, tally{dropped: 1}, 0, ""},
		{udpCounted, list(a), list(a), list(a), tally{accepted: 1, marked: 1}, 1, ""},
		{tcpToServer, list(a), list(a), list(a), tally{accepted: 7}, 0, ""},
		{udpAccepted, list(a), list(a), nil, tally{accepted: 1}, 0,
			`the far end did not receive "the cat"`},
		{udpAccepted, list(a), list(a), list(a, a), tally{accepted: 1}, 0,
			`the far end received, and should not have, "the cat"`},
		{udpReplaced, list(a), list(b), list(a), tally{accepted: 1}, 0,
			`from byte 4 on the far end received "cat", expected was "dog"`},
		{tcpToServer, list(a), list(a), list(a[:3]), tally{accepted: 1}, 0,
			`from byte 3 on the far end received "", expected was " cat"`},
		{udpAccepted, nil, nil, nil, tally{}, 0, "nothing was sent"},
		{udpAccepted, list(a), list(a), list(a), tally{}, 0,
			"the number of packets queued does not fit to what was sent"},
		{udpDropped, list(a), nil, nil, tally{dropped: 2}, 0,
			"the number of packets queued does not fit to what was sent"},
		{tcpToServer, list(a), list(a), list(a), tally{}, 0,
			"the number of packets queued does not fit to what was sent"},
		{udpFiltered, list(a), nil, nil, tally{accepted: 1, marked: 1}, 0,
			"the rule behind the queue did not see the mark on each packet"},
	} {
		f := flow{
			key:     key{kind: test.kind},
			sent:    test.sent,
			want:    test.want,
			got:     test.got,
			tally:   test.tally,
			matched: test.matched,
		}
		if got := f.problem(); got != test.problem {
			t.Errorf("%v, sent %q, want %q, got %q: %q, want %q", test.kind, test.sent, test.want, test.got,
				got, test.problem)
		}
	}
}

func TestColour(t *testing.T) {
	for colour, want := range map[bool]string{false: "  drop\n", true: "  \x1b[31mdrop\x1b[0m\n"} {
		var out bytes.Buffer
		s := &screen{out: &out, colour: colour, all: true}
		s.packet(line{decision: decision{verdict: nfqueue.Drop}})
		if !bytes.HasSuffix(out.Bytes(), []byte(want)) {
			t.Errorf("colour %v: %q, want %q at its end", colour, &out, want)
		}
	}
}
