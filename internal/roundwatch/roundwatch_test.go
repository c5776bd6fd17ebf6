// SPDX-License-Identifier: GPL-2.0-or-later

package roundwatch

import (
	"encoding/binary"
	"testing"
)

func packetOf(n uint64) []byte { return binary.BigEndian.AppendUint64(make([]byte, 32), n) }

// TestRound: a packet is counted that comes round among others, also among as many as a queue
// holds.
func TestRound(t *testing.T) {
	for _, others := range []uint64{0, 1, 1000, absent - 1} {
		var w Watch
		w.Init()
		for round := uint64(1); round <= 5; round++ {
			if got := w.Round(packetOf(0), 1); got != round {
				t.Errorf("among %d others: round %d counts as %d", others, round, got)
			}
			for n := range others {
				w.Round(packetOf(n+1), 1)
			}
		}
	}
}

// TestOthers: packets that come once are not mistaken for one another, and do not keep a place
// for ever.
func TestOthers(t *testing.T) {
	var w Watch
	w.Init()
	for n := range uint64(3 * slots) {
		if got := w.Round(packetOf(n), 0); got > 1 {
			t.Fatalf("a packet comes for the first time, and counts as %d", got)
		}
	}
	a, b := packetOf(1<<40), packetOf(1<<40)
	for range absent + 1 {
		w.Round(a, 7)
	}
	if w.Round(b, 7) == 0 {
		t.Error("a packet that comes round finds no place")
	}
	if got := w.Round(b, 8); got > 1 {
		t.Errorf("with another mark it counts as %d", got)
	}
	if got := w.Round(b[:20], 7); got > 1 {
		t.Errorf("with another length it counts as %d", got)
	}
	for range 3 {
		if got := w.Round(nil, 7); got != 0 {
			t.Errorf("without a payload it counts as %d", got)
		}
	}
}
