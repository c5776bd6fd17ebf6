// SPDX-License-Identifier: GPL-2.0-or-later

package conntrack

import "github.com/chifflier/nfqueue-go/internal/word"

// State says how a packet relates to its connection (enum ip_conntrack_info of
// linux/netfilter/nf_conntrack_common.h).
type State uint8

// States in the kernel's order.
const (
	StateEstablished      State = 0 // IP_CT_ESTABLISHED
	StateRelated          State = 1 // IP_CT_RELATED
	StateNew              State = 2 // IP_CT_NEW
	StateEstablishedReply State = 3 // IP_CT_ESTABLISHED_REPLY
	StateRelatedReply     State = 4 // IP_CT_RELATED_REPLY
)

var stateNames = [...]string{"established", "related", "new", "established-reply", "related-reply"}

// String returns the state as nft writes it, with "-reply" for a packet that goes
// against the direction of the connection's first.
func (s State) String() string { return word.Name(uint8(s), stateNames[:], "conntrack info") }

// Reply reports whether the packet goes against the direction of the connection's
// first packet (CTINFO2DIR).
func (s State) Reply() bool { return s >= StateEstablishedReply }

// Status is a set of facts about a connection (enum ip_conntrack_status of
// linux/netfilter/nf_conntrack_common.h).
type Status uint32

const (
	// StatusExpected: another connection's helper expected this one (IPS_EXPECTED).
	StatusExpected Status = 1 << 0
	// StatusSeenReply: packets have come in both directions (IPS_SEEN_REPLY).
	StatusSeenReply Status = 1 << 1
	// StatusAssured: the kernel keeps the entry when the table is full (IPS_ASSURED).
	StatusAssured Status = 1 << 2
	// StatusConfirmed: the first packet has left the host or been delivered, and the
	// entry is in the table (IPS_CONFIRMED).
	StatusConfirmed Status = 1 << 3
	// StatusSrcNAT: the source is translated in the original direction (IPS_SRC_NAT).
	StatusSrcNAT Status = 1 << 4
	// StatusDstNAT: the destination is translated in the original direction (IPS_DST_NAT).
	StatusDstNAT Status = 1 << 5
	// StatusSeqAdjust: TCP sequence numbers are adjusted (IPS_SEQ_ADJUST).
	StatusSeqAdjust Status = 1 << 6
	// StatusSrcNATDone: NAT has chosen the source, translated or not (IPS_SRC_NAT_DONE).
	StatusSrcNATDone Status = 1 << 7
	// StatusDstNATDone: NAT has chosen the destination, translated or not (IPS_DST_NAT_DONE).
	StatusDstNATDone Status = 1 << 8
	// StatusDying: the entry has left the table (IPS_DYING).
	StatusDying Status = 1 << 9
	// StatusFixedTimeout: packets do not extend the entry's timeout (IPS_FIXED_TIMEOUT).
	StatusFixedTimeout Status = 1 << 10
	// StatusTemplate: the entry is a template made by a rule (IPS_TEMPLATE).
	StatusTemplate Status = 1 << 11
	// StatusNATClash: the entry lost a race with another of the same connection
	// (IPS_NAT_CLASH, formerly IPS_UNTRACKED).
	StatusNATClash Status = 1 << 12
	// StatusHelper: a rule attached the helper; on newer kernels, the connection has a helper
	// (IPS_HELPER).
	StatusHelper Status = 1 << 13
	// StatusOffload: a flow table forwards the connection (IPS_OFFLOAD).
	StatusOffload Status = 1 << 14
	// StatusHWOffload: hardware forwards the connection (IPS_HW_OFFLOAD).
	StatusHWOffload Status = 1 << 15
)

var statusNames = []string{
	"expected", "seen-reply", "assured", "confirmed", "snat", "dnat", "seq-adjust", "snat-done",
	"dnat-done",
	"dying", "fixed-timeout", "template", "nat-clash", "helper", "offload", "hw-offload",
}

// String lists the names of the set bits, joined by "|".
func (s Status) String() string { return word.Bits(uint32(s), statusNames) }
