// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"fmt"
	"strconv"
)

// Verdict is what becomes of a packet: the 32-bit word that the kernel expects
// (NF_* of linux/netfilter.h), or Deferred. The zero value drops.
type Verdict uint32

const (
	// Drop discards the packet (NF_DROP).
	Drop Verdict = 0
	// Accept lets the packet go on behind the chain that queued it: the rest of
	// that base chain is skipped, chains of lower precedence on the same hook
	// still see it (NF_ACCEPT).
	Accept Verdict = 1
	// Repeat sends the packet through the hook that queued it once more, from its
	// first rule. Something must have changed, a mark for example, or it comes
	// back for ever (NF_REPEAT).
	Repeat Verdict = 4
	// Stop lets the packet go on and skips the remaining chains of the hook. The
	// kernel's header calls it deprecated; kernels up to 7.3 honour it (NF_STOP).
	Stop Verdict = 5
	// Deferred is no verdict of the kernel's: a handler returns it for a packet on
	// which it has called Packet.Defer.
	Deferred Verdict = 0xff
)

const (
	verdictQueue  = 3      // NF_QUEUE
	verdictBypass = 0x8000 // NF_VERDICT_FLAG_QUEUE_BYPASS
	verdictMask   = 0xff   // NF_VERDICT_MASK
)

// ToQueue hands the packet to another queue, where it gets a new id. If nobody
// has bound that queue, the packet is dropped.
func ToQueue(n uint16) Verdict { return Verdict(n)<<16 | verdictQueue }

// ToQueueOrAccept is ToQueue for packets that shall pass, as with Accept, if
// nobody has bound the other queue.
func ToQueueOrAccept(n uint16) Verdict { return ToQueue(n) | verdictBypass }

// Queue returns the number of the queue to which v hands the packet; ok is false
// for other verdicts.
func (v Verdict) Queue() (n uint16, ok bool) {
	return uint16(v >> 16), v&verdictMask == verdictQueue
}

// String names the verdict: "drop", "accept", "queue 7", "queue 7 bypass" ...
func (v Verdict) String() string {
	switch v {
	case Drop:
		return "drop"
	case Accept:
		return "accept"
	case Repeat:
		return "repeat"
	case Stop:
		return "stop"
	case Deferred:
		return "deferred"
	}
	if n, ok := v.Queue(); ok && v&^(0xffff<<16|verdictBypass) == verdictQueue {
		s := "queue " + strconv.Itoa(int(n))
		if v&verdictBypass != 0 {
			s += " bypass"
		}
		return s
	}
	return fmt.Sprintf("verdict 0x%x", uint32(v))
}

// check says why the kernel would refuse v or take it for another verdict.
func (v Verdict) check() error {
	switch v & verdictMask {
	case Drop, Accept, Repeat, Stop:
		// The kernel compares all 32 bits: 0x00010001 acts as Stop, 0x00010004 drops.
		if v > verdictMask {
			return fmt.Errorf("%w: 0x%x has bits set above its code; use one of the constants", ErrInvalidVerdict, uint32(v))
		}
		return nil
	case verdictQueue:
		if v&^(0xffff<<16|verdictBypass) != verdictQueue {
			return fmt.Errorf("%w: 0x%x; use ToQueue or ToQueueOrAccept", ErrInvalidVerdict, uint32(v))
		}
		return nil
	case 2:
		return fmt.Errorf("%w: NF_STOLEN is refused by the kernel; return Deferred after Packet.Defer to decide later", ErrInvalidVerdict)
	case Deferred:
		return fmt.Errorf("%w: Deferred is only for a packet on which Packet.Defer was called", ErrInvalidVerdict)
	}
	return fmt.Errorf("%w: 0x%x; use Drop, Accept, Repeat, Stop, ToQueue or ToQueueOrAccept", ErrInvalidVerdict, uint32(v))
}
