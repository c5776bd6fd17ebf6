// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"fmt"
	"strconv"
)

// Handler decides packets.
type Handler interface {
	// ServePacket returns the verdict on p, or Deferred after p.Defer. p is valid until it
	// returns. The verdict carries the edits made to p, unless it drops the packet.
	ServePacket(p *Packet) Verdict
}

// HandlerFunc is a function that is a Handler.
type HandlerFunc func(*Packet) Verdict

// ServePacket calls f.
func (f HandlerFunc) ServePacket(p *Packet) Verdict { return f(p) }

// PanicError reports that a handler panicked. Its packet got the Fallback. The error that Serve
// returns wraps it; errors.As finds it.
type PanicError struct {
	// Value is the argument of panic, nil if the handler called runtime.Goexit.
	Value any
	// Stack is the stack of the goroutine at the panic.
	Stack []byte
}

// Error returns the value and the stack.
func (e *PanicError) Error() string {
	return fmt.Sprintf("handler panicked: %v\n\n%s", e.Value, e.Stack)
}

// Unwrap returns the value if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// Verdict decides a packet. It is the 32-bit word that the kernel expects (NF_* of
// linux/netfilter.h), or Deferred. The zero value drops the packet.
type Verdict uint32

const (
	// Drop discards the packet (NF_DROP).
	Drop Verdict = 0
	// Accept lets the packet continue behind the base chain that queued it. It skips the rest of
	// that chain; later chains of the hook still see the packet (NF_ACCEPT).
	Accept Verdict = 1
	// Repeat sends the packet through the hook that queued it again, from the first rule. Change
	// something, such as the mark, or the packet comes back for ever (NF_REPEAT).
	Repeat Verdict = 4
	// Stop lets the packet continue behind the hook. It skips the remaining chains. The kernel's
	// header calls it deprecated; kernels up to 7.3 honour it (NF_STOP).
	Stop Verdict = 5
	// Deferred is not a verdict of the kernel: a handler returns it after Packet.Defer.
	Deferred Verdict = 0xff
)

const (
	verdictQueue  = 3      // NF_QUEUE
	verdictBypass = 0x8000 // NF_VERDICT_FLAG_QUEUE_BYPASS
	verdictMask   = 0xff   // NF_VERDICT_MASK
)

// ToQueue sends the packet to another queue, where it gets a new id. If no process has bound that
// queue, the kernel drops the packet.
func ToQueue(n uint16) Verdict { return Verdict(n)<<16 | verdictQueue }

// ToQueueOrAccept is ToQueue, but Accept if no process has bound the other queue.
func ToQueueOrAccept(n uint16) Verdict { return ToQueue(n) | verdictBypass }

// Queue returns the number of the queue to which v sends the packet. It reports false for other
// verdicts.
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

// check says why the kernel would refuse v or read it as another verdict.
func (v Verdict) check() error {
	switch v & verdictMask {
	case Drop, Accept, Repeat, Stop:
		// The kernel compares all 32 bits: 0x00010001 acts as Stop, 0x00010004 drops.
		if v > verdictMask {
			return fmt.Errorf("%w: 0x%x has bits set above its code; use one of the constants",
				ErrInvalidVerdict, uint32(v))
		}
		return nil
	case verdictQueue:
		if v&^(0xffff<<16|verdictBypass) != verdictQueue {
			return fmt.Errorf("%w: 0x%x; use ToQueue or ToQueueOrAccept", ErrInvalidVerdict, uint32(v))
		}
		return nil
	case 2:
		return fmt.Errorf("%w: the kernel refuses NF_STOLEN; to decide later, return Deferred after "+
			"Packet.Defer", ErrInvalidVerdict)
	case Deferred:
		return fmt.Errorf("%w: Deferred is only for a packet after Packet.Defer", ErrInvalidVerdict)
	}
	return fmt.Errorf("%w: 0x%x; use Drop, Accept, Repeat, Stop, ToQueue or ToQueueOrAccept",
		ErrInvalidVerdict, uint32(v))
}
