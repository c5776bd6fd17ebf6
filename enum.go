// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"strconv"

	"github.com/chifflier/nfqueue-go/internal/word"
)

// Family is the protocol family of the hook that queued a packet, the nfgen_family of its message
// (NFPROTO_* of linux/netfilter.h). Packets from a rule in an inet table have FamilyIPv4 or
// FamilyIPv6.
type Family uint8

// Families that can queue packets.
const (
	FamilyIPv4   Family = 2  // NFPROTO_IPV4
	FamilyBridge Family = 7  // NFPROTO_BRIDGE
	FamilyIPv6   Family = 10 // NFPROTO_IPV6
)

// String returns the name of the family as nft writes it.
func (f Family) String() string {
	switch f {
	case FamilyIPv4:
		return "ip"
	case FamilyBridge:
		return "bridge"
	case FamilyIPv6:
		return "ip6"
	}
	return "family " + strconv.Itoa(int(f))
}

// Hook is the netfilter hook at which a packet was queued (enum nf_inet_hooks of
// linux/netfilter.h; the bridge family numbers its hooks alike).
type Hook uint8

// Hooks in the kernel's order.
const (
	HookPrerouting  Hook = iota // NF_INET_PRE_ROUTING
	HookInput                   // NF_INET_LOCAL_IN
	HookForward                 // NF_INET_FORWARD
	HookOutput                  // NF_INET_LOCAL_OUT
	HookPostrouting             // NF_INET_POST_ROUTING
)

var hookNames = [...]string{"prerouting", "input", "forward", "output", "postrouting"}

// String returns the name of the hook as nft writes it.
func (h Hook) String() string {
	return word.Name(uint8(h), hookNames[:], "hook")
}

// CopyMode says how much of each packet the kernel copies to the socket (enum nfqnl_config_mode of
// linux/netfilter/nfnetlink_queue.h). The zero value is the useful one, so the numbers differ from
// the kernel's.
type CopyMode uint8

const (
	// CopyPacket copies metadata and the packet, up to the copy range (NFQNL_COPY_PACKET).
	CopyPacket CopyMode = iota
	// CopyMeta copies metadata only, without even the packet's length (NFQNL_COPY_META).
	CopyMeta
	// CopyNone makes the kernel drop every packet that reaches the queue. It counts none of them
	// and ignores the bypass of a rule (NFQNL_COPY_NONE).
	CopyNone
)

var copyModes = [...]struct {
	name   string
	kernel uint8
}{{"packet", 2}, {"meta", 1}, {"none", 0}}

// String returns "packet", "meta" or "none".
func (m CopyMode) String() string {
	if int(m) < len(copyModes) {
		return copyModes[m].name
	}
	return "copy mode " + strconv.Itoa(int(m))
}

func (m CopyMode) valid() bool { return int(m) < len(copyModes) }

func copyModeOf(kernel uint8) CopyMode {
	for m, c := range copyModes {
		if c.kernel == kernel {
			return CopyMode(m)
		}
	}
	return CopyMode(len(copyModes)) + CopyMode(kernel)
}

// Flags are options of a queue (NFQA_CFG_F_* of linux/netfilter/nfnetlink_queue.h).
type Flags uint32

const (
	// FailOpen makes the kernel accept packets instead of dropping them while the queue or the
	// buffer of its socket is full (NFQA_CFG_F_FAIL_OPEN, Linux 3.6).
	FailOpen Flags = 1 << 0
	// Conntrack adds the connection tracking entry of each packet that has one
	// (NFQA_CFG_F_CONNTRACK, Linux 3.6). It needs a kernel with CONFIG_NETFILTER_NETLINK_GLUE_CT,
	// and a rule that makes the kernel track connections.
	Conntrack Flags = 1 << 1
	// NoGSO makes the kernel cut packets to the MTU before they are queued. That is slow;
	// use it only when a handler cannot cope with packets above the MTU. Without it packets
	// are queued whole (NFQA_CFG_F_GSO, Linux 3.10, of which this is the opposite).
	NoGSO Flags = 1 << 2
	// UIDGID adds the owner of the packet's socket, see Packet.UID (NFQA_CFG_F_UID_GID, Linux
	// 3.14).
	UIDGID Flags = 1 << 3
	// SecCtx adds the security context of the packet (NFQA_CFG_F_SECCTX, Linux 4.3). It needs a
	// kernel with CONFIG_NETWORK_SECMARK.
	SecCtx Flags = 1 << 4

	allFlags = FailOpen | Conntrack | NoGSO | UIDGID | SecCtx
)

var flagNames = []string{"fail-open", "conntrack", "no-gso", "uid-gid", "secctx"}

// kernel returns the flags as the kernel knows them, with GSO in place of NoGSO.
func (f Flags) kernel() uint32 { return uint32(f ^ NoGSO) }

// String lists the names of the set flags, joined by "|".
func (f Flags) String() string { return word.Bits(uint32(f), flagNames) }

// SKBInfo says what the kernel has yet to do with a packet (NFQA_SKB_* of
// linux/netfilter/nfnetlink_queue.h).
type SKBInfo uint32

const (
	// ChecksumNotReady: the kernel or the network card completes the transport checksum later, so
	// the one in the payload is not valid yet (NFQA_SKB_CSUMNOTREADY).
	ChecksumNotReady SKBInfo = 1 << 0
	// SegmentationPending: the packet is a GSO super-packet, which may exceed the MTU and is
	// segmented later (NFQA_SKB_GSO).
	SegmentationPending SKBInfo = 1 << 1
	// ChecksumNotVerified: neither the network card nor the kernel has verified the transport
	// checksum (NFQA_SKB_CSUM_NOTVERIFIED).
	ChecksumNotVerified SKBInfo = 1 << 2
)

var skbInfoNames = []string{"csum-not-ready", "gso", "csum-not-verified"}

// String lists the names of the set bits, joined by "|".
func (i SKBInfo) String() string { return word.Bits(uint32(i), skbInfoNames) }
