// SPDX-License-Identifier: GPL-2.0-or-later

package rules

import (
	"net/netip"
	"path"

	"github.com/chifflier/nfqueue-go"
)

// Rule says which packets go to which queue. A packet has to match every field that
// is set. The zero value sends all IPv4 and IPv6 packets at prerouting to queue 0, or
// lets them pass when nobody has bound it.
//
// Later rules of the same Hook and Priority that were installed together do not see a packet that
// a rule has queued, or let pass because nobody has bound the queue.
type Rule struct {
	// Family is FamilyIPv4, FamilyIPv6 or FamilyBridge. Zero is inet: IPv4 and IPv6.
	// FamilyBridge sees the frames that pass through a bridge.
	Family nfqueue.Family
	// Hook is where packets are queued.
	Hook nfqueue.Hook
	// Priority orders the rule among other users of the hook, lowest first: conntrack
	// is at -200, destination NAT at -100, filters at 0, source NAT at 100 (enum
	// nf_ip_hook_priorities of linux/netfilter_ipv4.h). Filters of FamilyBridge are at
	// -200 (enum nf_br_hook_priorities of linux/netfilter_bridge.h); 0 and -1 are refused
	// there at prerouting and forward, since br_netfilter keeps packets from them.
	Priority int32

	// InDevName is the name of the interface through which the packet came, with
	// FamilyBridge the port. There is none at output.
	InDevName string
	// OutDevName is the name of the interface through which the packet leaves, with
	// FamilyBridge the port. There is none at prerouting and input.
	OutDevName string

	// Protocol is the transport protocol. In IPv6 it is that behind the extension headers, of
	// which AH is not one for nf_tables: the protocol is 51 where it is there, whatever follows.
	// Rules of ip6tables-legacy look behind it, those of ip6tables-nft do not.
	Protocol Protocol
	// Src is where the packet comes from, one of several addresses (all bits) or prefixes of one
	// family. None is any.
	Src []netip.Prefix
	// Dst is like Src, for where the packet goes to.
	Dst []netip.Prefix
	// SrcPort needs a Protocol with ports. Of a fragmented packet only the first
	// fragment has them, unless conntrack reassembles it before the rule, and later ones do
	// not match.
	SrcPort Ports
	// DstPort is like SrcPort, for the destination.
	DstPort Ports
	// Port matches when the source or the destination port does, so that one rule
	// gets both directions of a flow. It excludes SrcPort and DstPort.
	Port Ports
	// ICMPType needs the Protocol ICMP or ICMPv6. Later fragments do not match.
	ICMPType ICMPType

	// UID is the user who opened the socket that sends the packet (its fsuid). There is none
	// elsewhere than at output and postrouting, and none for what the kernel sends by itself.
	UID OwnerID
	// GID is the group of that user's process (its fsgid). See UID.
	GID OwnerID
	// Cgroup is the path of a control group (version 2), as /proc/PID/cgroup has it, such as
	// "/system.slice/sshd.service". It matches packets of sockets that were made in this group or
	// below it: at output those that send, at prerouting and input those of TCP and UDP that
	// receive. A half-open or ended TCP connection has no group. Install looks the path up, so
	// the group must exist. A group that is made anew is another one. It needs Linux 5.13.
	Cgroup string

	// Mark is the packet's mark, of which only the bits in MarkMask are looked at.
	Mark uint32
	// MarkMask is all bits if it is zero and Mark is not. If both are zero any mark
	// matches; set MarkMask alone to match packets whose bits are not set.
	MarkMask uint32
	// CTState matches packets in one of these connection tracking states. The kernel
	// tracks the connections of the namespace as long as such a rule is there.
	CTState CTState
	// CTMark is the mark of the packet's connection, of which only the bits in CTMarkMask
	// are looked at. A packet without a connection has none and never matches.
	CTMark uint32
	// CTMarkMask is to CTMark what MarkMask is to Mark.
	CTMarkMask uint32
	// FirstPackets matches the first packets of a connection, of both directions together.
	// Zero is any number. The kernel counts those of connections that begin when such a rule
	// is there (it sets the sysctl net.netfilter.nf_conntrack_acct, which stays set); older ones
	// always match.
	FirstPackets uint64
	// FirstBytes matches packets with which the connection has carried at most so many
	// bytes, of both directions together, with IP headers. See FirstPackets.
	FirstBytes uint64

	// Not are fields that are negated: a packet has to be different from what they say. What they
	// depend on still holds. With Not: MatchDstPort, a packet is of the Protocol, has ports (so it
	// is no later fragment), and its destination port is none of DstPort. An address that is
	// not in Src is of the same family. A packet without a sender that the kernel knows has no other
	// UID, GID or Cgroup either, and one without a connection no other CTMark. It does not match.
	// With MatchPort neither port is one of Port.
	Not Match

	// Offload, if it is not zero, keeps packets of decided connections from the queue.
	Offload Offload

	// Queue is the number of the queue, the first one if there are several.
	Queue uint16
	// Queues is the number of consecutive queues that packets are spread over, by a
	// hash of their addresses. Zero is 1.
	Queues uint16
	// Fanout chooses among the Queues by the CPU that handles the packet instead.
	Fanout bool
	// NoBypass drops packets when nobody has bound the queue. They pass otherwise.
	// Packets that a bound queue has no room for are not concerned.
	NoBypass bool
}

// normal returns the rule as Parse makes it, with one form for each meaning.
func (r Rule) normal() Rule {
	r.Src, r.Dst = normalPrefixes(r.Src), normalPrefixes(r.Dst)
	if r.Cgroup != "" {
		r.Cgroup = path.Clean("/" + r.Cgroup)
	}
	for _, p := range []*Ports{&r.SrcPort, &r.DstPort, &r.Port} {
		*p = p.normal()
	}
	if r.Mark != 0 && r.MarkMask == 0 {
		r.MarkMask = ^uint32(0)
	}
	if r.CTMark != 0 && r.CTMarkMask == 0 {
		r.CTMarkMask = ^uint32(0)
	}
	r.Queues = max(r.Queues, 1)
	return r
}

// Equal reports whether two rules mean the same.
func (r Rule) Equal(other Rule) bool { return r.String() == other.String() }

// lastQueue is wrong if the numbers are exceeded, which Validate refuses.
func (r Rule) lastQueue() uint16 { return r.Queue + max(r.Queues, 1) - 1 }

// network returns the only family whose packets can match, nfqueue.FamilyIPv4 or
// FamilyIPv6, or 0.
func (r Rule) network() nfqueue.Family {
	if r.Family == nfqueue.FamilyIPv4 || r.Family == nfqueue.FamilyIPv6 {
		return r.Family
	}
	for _, all := range [][]netip.Prefix{r.Src, r.Dst} {
		for _, p := range all {
			if p.IsValid() {
				return familyOf(p)
			}
		}
	}
	if r.not(MatchProtocol) {
		return 0
	}
	return networkOf(r.Protocol)
}

// hasPorts reports whether the rule looks at ports.
func (r Rule) hasPorts() bool { return len(r.SrcPort)+len(r.DstPort)+len(r.Port) > 0 }

// tracks reports whether the rule uses conntrack.
func (r Rule) tracks() bool {
	return r.CTState != 0 || r.CTMarkMask != 0 || r.FirstPackets != 0 || r.FirstBytes != 0 ||
		r.Offload != (Offload{})
}

func familyOf(p netip.Prefix) nfqueue.Family {
	if p.Addr().Is4() {
		return nfqueue.FamilyIPv4
	}
	return nfqueue.FamilyIPv6
}

// lastAddress returns the last address of a prefix.
func lastAddress(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < p.Addr().BitLen(); i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}
