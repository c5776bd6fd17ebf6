// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueuetest

import (
	"fmt"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/fakekernel"
)

// Result is the fate of a packet.
type Result struct {
	// Verdict is the packet's last verdict. If it never had one, as Cause tells, this is the zero
	// value, Drop.
	Verdict nfqueue.Verdict
	// Passed says that the packet was let through. Otherwise it was dropped.
	Passed bool
	// Cause is the reason.
	Cause Cause
	// Hops are all verdicts of the packet, in order.
	Hops []Hop

	// Payload, Mark, Priority, VLAN and LinkHeader are those of the packet in the end.
	Payload        []byte
	Mark, Priority uint32
	VLAN           nfqueue.VLAN
	LinkHeader     []byte
	// Edits says which of them came with a verdict.
	Edits Edits
	// Conntrack and Expect are the attributes in NFQA_CT and NFQA_EXP of the last verdict that had
	// them. They are nil for a packet without Spec.Conntrack.
	Conntrack, Expect []byte
}

// Hop is one verdict of a packet.
type Hop struct {
	// Queue and ID are where the packet waited, and its id there.
	Queue uint16
	ID    uint32
	// Verdict is the 32-bit word that the kernel received.
	Verdict nfqueue.Verdict
	// Batch says that the verdict came in a VERDICT_BATCH message.
	Batch bool
}

// Edits says which of Payload, Mark, Priority, VLAN and LinkHeader a verdict has set, also if it
// was to the old value.
type Edits struct{ Payload, Mark, Priority, VLAN, LinkHeader bool }

// Cause is why a packet was let through or dropped.
type Cause uint8

const (
	// Decided: by its verdict.
	Decided = Cause(fakekernel.Decided)
	// NotBound: nobody had bound the queue of the rule or of a ToQueue verdict.
	NotBound = Cause(fakekernel.NotBound)
	// ModeNone: the queue had the mode CopyNone.
	ModeNone = Cause(fakekernel.ModeNone)
	// NotSegmented: a packet with SegmentationPending met a queue with NoGSO. A
	// kernel queues the segments instead; in a test, send those.
	NotSegmented = Cause(fakekernel.NotSegmented)
	// QueueFull: Config.MaxLen packets were waiting.
	QueueFull = Cause(fakekernel.QueueFull)
	// BufferFull: the receive buffer was full.
	BufferFull = Cause(fakekernel.BufferFull)
	// Closed: the queue was closed while the packet waited.
	Closed = Cause(fakekernel.Unbound)
	// Flushed: by Kernel.Flush while the packet waited.
	Flushed = Cause(fakekernel.Flushed)
	// BadPayload: the payload of the verdict was shorter than the headers of the packet.
	BadPayload = Cause(fakekernel.BadPayload)
	// BadLink: the VLAN tag or link header of the verdict was refused, and the kernel then drops the
	// packet.
	BadLink = Cause(fakekernel.BadLink)
	// NotIP: no rule saw the replayed packet, because it is not IP, or, with a rule of the bridge
	// family, because it has no Ethernet header.
	NotIP = BadLink + 1
	// UnknownLink: no rule saw the replayed packet, because its link header has an unknown type.
	UnknownLink = NotIP + 1
)

var causes = [...]string{
	Decided:      "decided by a verdict",
	NotBound:     "nobody had bound the queue",
	ModeNone:     "the queue had CopyNone",
	NotSegmented: "a GSO packet met a queue without GSO",
	QueueFull:    "the queue was full",
	BufferFull:   "the receive buffer was full",
	Closed:       "the queue was closed",
	Flushed:      "flushed",
	BadPayload:   "the verdict had a payload shorter than the packet's headers",
	BadLink:      "the verdict had an invalid VLAN tag or link header",
	NotIP:        "not a packet of the family of the rule",
	UnknownLink:  "a packet with a link header of an unknown type",
}

// String describes the cause.
func (c Cause) String() string {
	if int(c) < len(causes) {
		return causes[c]
	}
	return fmt.Sprintf("cause %d", c)
}

func resultOf(o fakekernel.Outcome) Result {
	r := Result{
		Passed: o.Passed, Cause: Cause(o.Cause),
		Payload: o.Packet.Payload, Mark: o.Packet.Mark, Priority: o.Packet.Priority,
		VLAN: nfqueue.VLAN(o.Packet.VLAN), LinkHeader: o.Packet.LinkHeader,
		Edits: Edits{
			o.Edits.Payload,
			o.Edits.Mark,
			o.Edits.Priority,
			o.Edits.VLAN,
			o.Edits.LinkHeader,
		},
		Conntrack: o.Edits.Conntrack, Expect: o.Edits.Expect,
	}
	for _, h := range o.Hops {
		r.Verdict = nfqueue.Verdict(h.Verdict)
		r.Hops = append(r.Hops, Hop{h.Queue, h.ID, r.Verdict, h.Batch})
	}
	return r
}
