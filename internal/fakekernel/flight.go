// SPDX-License-Identifier: GPL-2.0-or-later

package fakekernel

// Rule is the rule that queues a packet.
type Rule struct {
	Queue  uint16
	Bypass bool // the packet passes if nobody has bound the queue
	// Match reports, after a REPEAT verdict, whether the edited packet matches the rule again; if not,
	// it passes. Nil always matches.
	Match func(Packet) bool
}

// Flight is one packet on its way through the queues.
type Flight struct {
	kernel *Kernel
	rule   Rule
	done   chan struct{}

	// Guarded by Kernel.mu, but for outcome once done is closed.
	packet  Packet
	queued  bool
	queue   uint16
	id      uint32
	outcome Outcome
}

// Outcome is the fate of a packet.
type Outcome struct {
	// Passed says that the packet was let through. Otherwise it was dropped.
	Passed bool
	// Cause is the reason.
	Cause Cause
	// Hops are the verdicts of the packet, in order. There may be none.
	Hops []Hop
	// Packet is the packet in the end.
	Packet Packet
	// Edits are the attributes of verdicts that were applied.
	Edits Edits
	// LostChange says that a verdict other than drop came without a payload, although the payload
	// had been changed in the memory into which it was received.
	LostChange bool
}

// Hop is a verdict.
type Hop struct {
	Queue   uint16
	ID      uint32
	Verdict uint32 // as it was sent, with its upper bits
	Batch   bool   // it came by a VERDICT_BATCH
}

// Edits are attributes of verdicts.
type Edits struct {
	Payload, Mark, Priority, VLAN, LinkHeader bool
	// Conntrack and Expect hold the attributes in NFQA_CT and NFQA_EXP.
	Conntrack, Expect []byte
}

// Cause is why a packet was let through or dropped.
type Cause uint8

const (
	// Decided: by a verdict.
	Decided Cause = iota
	// NotBound: nobody had bound the queue.
	NotBound
	// ModeNone: the copy mode of the queue was NFQNL_COPY_NONE.
	ModeNone
	// NotSegmented: a GSO packet met a queue without the flag GSO. A real kernel would queue the
	// segments; this one cannot.
	NotSegmented
	// QueueFull: the queue had its maximum length.
	QueueFull
	// BufferFull: the receive buffer of the socket was full.
	BufferFull
	// Unbound: the queue was unbound, or its socket closed, while the packet waited.
	Unbound
	// Flushed: by Kernel.Flush while the packet waited.
	Flushed
	// BadPayload: the payload of the verdict was shorter than the packet's headers. The kernel reports
	// no error.
	BadPayload
	// BadLink: the VLAN tag or link header of the verdict was invalid.
	BadLink
)

// Send sends a copy of a packet to a rule. When Send returns the packet is queued, or its flight
// has ended.
func (k *Kernel) Send(r Rule, p Packet) *Flight {
	f := &Flight{kernel: k, rule: r, done: make(chan struct{}), packet: p.clone()}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.enqueue(f, r.Queue, r.Bypass)
	return f
}

// Done returns a channel that is closed when the flight has ended.
func (f *Flight) Done() <-chan struct{} { return f.done }

// Outcome returns the fate of the packet. It must not be called before Done is closed. All callers
// share its memory.
func (f *Flight) Outcome() Outcome { return f.outcome }

// Queued returns where the packet waits.
func (f *Flight) Queued() (queue uint16, id uint32, ok bool) {
	f.kernel.mu.Lock()
	defer f.kernel.mu.Unlock()
	return f.queue, f.id, f.queued
}

// end ends the flight.
func (f *Flight) end(c Cause, passed bool) {
	f.outcome.Cause, f.outcome.Passed, f.outcome.Packet = c, passed, f.packet
	close(f.done)
}

// again reports whether the rule matches the packet now. It releases the lock meanwhile, so that
// Match may use the kernel.
func (f *Flight) again() bool {
	if f.rule.Match == nil {
		return true
	}
	p := f.packet.clone()
	f.kernel.mu.Unlock()
	defer f.kernel.mu.Lock()
	return f.rule.Match(p)
}
