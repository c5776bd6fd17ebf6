// SPDX-License-Identifier: GPL-2.0-or-later

package queuerules

import (
	"encoding/binary"
	"fmt"
)

// Rule is a rule that sends packets to queues.
type Rule struct {
	Chain  string // the table and chain of a rule of nf_tables
	Where  string // the table, chain and place of the rule
	Delete string // the command that deletes it
	First  uint16 // queue
	Last   uint16 // queue
	Bypass bool   // packets pass if nobody has bound the queue
	Mapped bool   // a map says which queue it is, or which ones: First and Last have no meaning
}

// Queues returns the queues in words.
func (r Rule) Queues() string {
	switch {
	case r.Mapped:
		return "queues from a map"
	case r.First == r.Last:
		return fmt.Sprintf("queue %d", r.First)
	}
	return fmt.Sprintf("queues %d to %d", r.First, r.Last)
}

// targetName is the name of the target of xtables that queues.
const targetName = "NFQUEUE"

// setTarget sets the queues from the data of the target, struct xt_NFQ_info in its revisions 0 to 3
// (xt_NFQUEUE.h), numbers of 16 bits in host byte order. It reports false for other data.
func (r *Rule) setTarget(revision uint32, info []byte) bool {
	fields := []int{1, 2, 3, 3} // queue; number of queues; bypass, or flags
	if revision >= uint32(len(fields)) || len(info) < 2*fields[revision] {
		return false
	}
	field := func(i int) uint16 { return binary.NativeEndian.Uint16(info[2*i:]) }
	total := uint16(1)
	if revision >= 1 {
		total = max(field(1), 1)
	}
	r.First, r.Last = field(0), field(0)+total-1
	if revision >= 2 {
		r.Bypass = field(2)&1 != 0 // NFQ_FLAG_BYPASS
	}
	return true
}
