// SPDX-License-Identifier: GPL-2.0-or-later

// Package roundwatch notices packets that a handler sends round to their queue again and again.
package roundwatch

import (
	"hash/maphash"
	"sync"
)

// Limit is how often a packet comes round before that is taken for an error.
const Limit = 100

const (
	slots = 256
	// looked is how many bytes of a packet tell it from others. Headers, and the beginning of
	// what they carry, do.
	looked = 512
	// absent is after how many rounds of other packets one that was not among them has gone.
	// The longest queue has as many packets.
	absent = 1 << 16
)

// Watch counts the rounds of up to 256 packets. It is safe for concurrent use. Init comes before
// anything else.
type Watch struct {
	seed maphash.Seed

	mu      sync.Mutex
	now     uint64 // rounds of all packets
	packets [slots]packet
}

type packet struct {
	key
	rounds uint64 // 0 if the slot is free
	last   uint64 // Watch.now at the last round
}

// key tells packets apart.
type key struct {
	sum  uint64
	size int
	mark uint32
}

// Init prepares the watch.
func (w *Watch) Init() { w.seed = maphash.MakeSeed() }

// Round counts a packet that goes to its queue again as it came from there, and returns how
// often it has done so, as far as is known. Nothing is known of a packet without a payload.
func (w *Watch) Round(payload []byte, mark uint32) uint64 {
	if len(payload) == 0 {
		return 0
	}
	k := key{maphash.Bytes(w.seed, payload[:min(len(payload), looked)]), len(payload), mark}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now++
	p := &w.packets[(k.sum^uint64(mark))%slots]
	if p.key != k || p.rounds == 0 {
		if p.rounds > 0 && w.now-p.last <= absent {
			return 0
		}
		*p = packet{key: k}
	}
	p.rounds++
	p.last = w.now
	return p.rounds
}
