// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import "strconv"

// ConnState says how a packet relates to its connection (enum ip_conntrack_info
// of linux/netfilter/nf_conntrack_common.h).
type ConnState uint8

// States in the kernel's order.
const (
	ConnEstablished      ConnState = 0 // IP_CT_ESTABLISHED
	ConnRelated          ConnState = 1 // IP_CT_RELATED
	ConnNew              ConnState = 2 // IP_CT_NEW
	ConnEstablishedReply ConnState = 3 // IP_CT_ESTABLISHED_REPLY
	ConnRelatedReply     ConnState = 4 // IP_CT_RELATED_REPLY
)

var connStateNames = [...]string{"established", "related", "new", "established-reply", "related-reply"}

// String returns the state as nft writes it, with "-reply" for a packet that goes
// against the direction of the connection's first.
func (s ConnState) String() string { return nameOf(uint8(s), connStateNames[:], "conntrack info ") }

// Reply reports whether the packet goes against the direction of the connection's
// first packet (CTINFO2DIR).
func (s ConnState) Reply() bool { return s >= ConnEstablishedReply }

// ConnStatus is a set of bits about a connection (enum ip_conntrack_status of
// linux/netfilter/nf_conntrack_common.h).
type ConnStatus uint32

const (
	// StatusExpected: another connection's helper expected this one (IPS_EXPECTED).
	StatusExpected ConnStatus = 1 << 0
	// StatusSeenReply: packets have come in both directions (IPS_SEEN_REPLY).
	StatusSeenReply ConnStatus = 1 << 1
	// StatusAssured: the entry is not given up early when the table is full (IPS_ASSURED).
	StatusAssured ConnStatus = 1 << 2
	// StatusConfirmed: the first packet has left the host or been delivered, and the
	// entry is in the table (IPS_CONFIRMED).
	StatusConfirmed ConnStatus = 1 << 3
	// StatusSrcNAT: the source is translated in the original direction (IPS_SRC_NAT).
	StatusSrcNAT ConnStatus = 1 << 4
	// StatusDstNAT: the destination is translated in the original direction (IPS_DST_NAT).
	StatusDstNAT ConnStatus = 1 << 5
	// StatusSeqAdjust: TCP sequence numbers are adjusted (IPS_SEQ_ADJUST).
	StatusSeqAdjust ConnStatus = 1 << 6
	// StatusSrcNATDone: it is decided whether the source is translated (IPS_SRC_NAT_DONE).
	StatusSrcNATDone ConnStatus = 1 << 7
	// StatusDstNATDone: it is decided whether the destination is translated (IPS_DST_NAT_DONE).
	StatusDstNATDone ConnStatus = 1 << 8
	// StatusDying: the entry has left the table (IPS_DYING).
	StatusDying ConnStatus = 1 << 9
	// StatusFixedTimeout: packets do not prolong the entry's life (IPS_FIXED_TIMEOUT).
	StatusFixedTimeout ConnStatus = 1 << 10
	// StatusTemplate: the entry is a template made by a rule (IPS_TEMPLATE).
	StatusTemplate ConnStatus = 1 << 11
	// StatusNATClash: the entry lost a race with another of the same connection
	// (IPS_NAT_CLASH, which was IPS_UNTRACKED once).
	StatusNATClash ConnStatus = 1 << 12
	// StatusHelper: a rule has attached the helper, or, on newer kernels, anything (IPS_HELPER).
	StatusHelper ConnStatus = 1 << 13
	// StatusOffload: a flow table forwards the connection (IPS_OFFLOAD).
	StatusOffload ConnStatus = 1 << 14
	// StatusHWOffload: hardware forwards the connection (IPS_HW_OFFLOAD).
	StatusHWOffload ConnStatus = 1 << 15
)

var connStatusNames = []string{
	"expected", "seen-reply", "assured", "confirmed", "snat", "dnat", "seq-adjust", "snat-done", "dnat-done",
	"dying", "fixed-timeout", "template", "nat-clash", "helper", "offload", "hw-offload",
}

// String lists the names of the bits that are set, joined by "|".
func (s ConnStatus) String() string { return bitNames(uint32(s), connStatusNames) }

// nameOf names a value of an enumeration; one without a name is printed as a
// number behind what.
func nameOf(v uint8, names []string, what string) string {
	if int(v) < len(names) {
		return names[v]
	}
	return what + strconv.Itoa(int(v))
}
