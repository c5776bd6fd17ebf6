// SPDX-License-Identifier: GPL-2.0-or-later

package rules

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/chifflier/nfqueue-go"
)

// Protocol is the number of a transport protocol, in IPv6 that of the last header. Zero is any.
type Protocol = nfqueue.Protocol

// Protocols that have a name in the text form. Any other can be given by number.
const (
	ICMP    = nfqueue.ICMP
	TCP     = nfqueue.TCP
	UDP     = nfqueue.UDP
	DCCP    = nfqueue.DCCP
	ICMPv6  = nfqueue.ICMPv6
	SCTP    = nfqueue.SCTP
	UDPLite = nfqueue.UDPLite
)

var protocolNames = map[Protocol]string{
	ICMP: "icmp", TCP: "tcp", UDP: "udp", DCCP: "dccp", ICMPv6: "icmpv6",
	SCTP: "sctp", UDPLite: "udplite",
}

var protocolOfName = inverse(protocolNames)

// protocolText returns the name of a protocol, or its number.
func protocolText(p Protocol) string {
	if name, ok := protocolNames[p]; ok {
		return name
	}
	return strconv.Itoa(int(p))
}

// networkOf returns the only family that carries a protocol, 0 if both do.
func networkOf(p Protocol) nfqueue.Family {
	switch p {
	case ICMP:
		return nfqueue.FamilyIPv4
	case ICMPv6:
		return nfqueue.FamilyIPv6
	}
	return 0
}

// isExtension reports whether a number is that of an IPv6 extension header, behind which
// nf_tables and ip6tables look for the protocol (ipv6_find_hdr). AH is one only for
// ip6tables-legacy.
func isExtension(p Protocol) bool {
	switch p {
	case 0, 43, 44, 60: // NEXTHDR_HOP, _ROUTING, _FRAGMENT, _DEST of net/ipv6.h
		return true
	}
	return false
}

// Ports is a set of ports. None is any port.
type Ports []PortRange

// PortRange is the ports from First to Last, both included.
type PortRange struct {
	First uint16
	Last  uint16 // zero if First is the only one
}

// Contains reports whether a port is one of p, which is true for any port if p has none.
func (p Ports) Contains(port uint16) bool {
	return len(p) == 0 || slices.ContainsFunc(p, func(r PortRange) bool {
		return r.First <= port && port <= r.last()
	})
}

// String returns such as "80,8000-8080", and nothing for any port.
func (p Ports) String() string { return strings.Join(p.texts("-"), ",") }

func (p Ports) texts(dash string) []string {
	var all []string
	for _, r := range p {
		text := strconv.Itoa(int(r.First))
		if !r.single() {
			text += dash + strconv.Itoa(int(r.Last))
		}
		all = append(all, text)
	}
	return all
}

func (r PortRange) valid() bool  { return r.Last == 0 || r.Last >= r.First }
func (r PortRange) single() bool { return r.Last == 0 || r.Last == r.First }
func (r PortRange) last() uint16 { return max(r.First, r.Last) }

// normal returns the ports in order, without overlaps and neighbours.
func (p Ports) normal() Ports {
	var merged Ports
	sorted := slices.SortedFunc(slices.Values(p), func(a, b PortRange) int {
		return cmp.Compare(a.First, b.First)
	})
	for _, r := range sorted {
		if !r.valid() {
			return p // as Validate refuses it
		}
		n := len(merged)
		if n > 0 && int(r.First) <= int(merged[n-1].last())+1 {
			r = PortRange{merged[n-1].First, max(merged[n-1].last(), r.last())}
			merged = merged[:n-1]
		}
		if r.single() {
			r.Last = 0
		}
		merged = append(merged, r)
	}
	return merged
}

// normalPrefixes returns the prefixes in order, without those that others contain.
func normalPrefixes(all []netip.Prefix) []netip.Prefix {
	var kept []netip.Prefix
	for _, p := range all {
		if !p.IsValid() {
			return all // as Validate refuses it
		}
	}
	sorted := slices.SortedFunc(slices.Values(all), func(a, b netip.Prefix) int {
		return cmp.Or(a.Masked().Addr().Compare(b.Masked().Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	for _, p := range sorted {
		if n := len(kept); n == 0 || !kept[n-1].Overlaps(p) {
			kept = append(kept, p.Masked())
		}
	}
	return kept
}

// ICMPType is a type of ICMP or ICMPv6 messages. The zero value is any type, since
// every number, 0 too, is a type.
type ICMPType struct {
	set    bool
	number uint8
}

// NewICMPType returns the type with a number of the IANA registry of the Rule's
// Protocol.
func NewICMPType(number uint8) ICMPType { return ICMPType{set: true, number: number} }

// Names are those of nft.
var (
	icmpNames = map[uint8]string{
		0: "echo-reply", 3: "destination-unreachable", 4: "source-quench", 5: "redirect",
		8: "echo-request", 9: "router-advertisement", 10: "router-solicitation",
		11: "time-exceeded", 12: "parameter-problem", 13: "timestamp-request",
		14: "timestamp-reply",
	}
	icmpv6Names = map[uint8]string{
		1: "destination-unreachable", 2: "packet-too-big", 3: "time-exceeded",
		4: "parameter-problem", 128: "echo-request", 129: "echo-reply",
		130: "mld-listener-query", 131: "mld-listener-report", 132: "mld-listener-done",
		133: "nd-router-solicit", 134: "nd-router-advert", 135: "nd-neighbor-solicit",
		136: "nd-neighbor-advert", 137: "nd-redirect", 143: "mld2-listener-report",
	}
	icmpOfName   = inverse(icmpNames)
	icmpv6OfName = inverse(icmpv6Names)
)

// name returns how nft and the text form call the type.
func (t ICMPType) name(p Protocol) string {
	names := icmpNames
	if p == ICMPv6 {
		names = icmpv6Names
	}
	if name, ok := names[t.number]; ok {
		return name
	}
	return t.String()
}

// String returns the number, or "any".
func (t ICMPType) String() string {
	if !t.set {
		return "any"
	}
	return strconv.Itoa(int(t.number))
}

// OwnerID is the id of a user or group. The zero value is any, since every number, 0 too, is an id.
type OwnerID struct {
	set    bool
	number uint32
}

// NewOwnerID returns the id with a number, in the user namespace of the network namespace.
func NewOwnerID(number uint32) OwnerID { return OwnerID{set: true, number: number} }

// String returns the number, or "any".
func (o OwnerID) String() string {
	if !o.set {
		return "any"
	}
	return strconv.FormatUint(uint64(o.number), 10)
}

// CTState is a set of connection tracking states, in the kernel's numbering
// (NF_CT_STATE_BIT of linux/netfilter/nf_conntrack_common.h). Zero is any state.
type CTState uint32

// The states.
const (
	CTInvalid     CTState = 1 << 0
	CTEstablished CTState = 1 << 1
	CTRelated     CTState = 1 << 2
	CTNew         CTState = 1 << 3
	CTUntracked   CTState = 1 << 6

	allCTStates = CTInvalid | CTEstablished | CTRelated | CTNew | CTUntracked
)

var ctStates = []struct {
	state CTState
	name  string
}{
	{CTNew, "new"}, {CTEstablished, "established"}, {CTRelated, "related"},
	{CTInvalid, "invalid"}, {CTUntracked, "untracked"},
}

// String lists the names of the states, joined by ",".
func (s CTState) String() string {
	var names []string
	for _, c := range ctStates {
		if s&c.state != 0 {
			names = append(names, c.name)
		}
	}
	if rest := s &^ allCTStates; rest != 0 {
		names = append(names, "0x"+strconv.FormatUint(uint64(rest), 16))
	}
	return strings.Join(names, ",")
}

// Match is a set of fields of a Rule.
type Match uint32

// The fields that can be negated, by their names in Rule.
const (
	MatchInDevName Match = 1 << iota
	MatchOutDevName
	MatchProtocol
	MatchSrc
	MatchDst
	MatchSrcPort
	MatchDstPort
	MatchPort
	MatchICMPType
	MatchUID
	MatchGID
	MatchCgroup
	MatchMark
	MatchCTState
	MatchCTMark
)

// matchOfField has the fields by the names that a FieldError has.
var matchOfField = map[string]Match{
	"InDevName": MatchInDevName, "OutDevName": MatchOutDevName, "Protocol": MatchProtocol,
	"Src": MatchSrc, "Dst": MatchDst, "SrcPort": MatchSrcPort, "DstPort": MatchDstPort,
	"Port": MatchPort, "ICMPType": MatchICMPType, "UID": MatchUID, "GID": MatchGID,
	"Cgroup": MatchCgroup, "Mark": MatchMark, "CTState": MatchCTState, "CTMark": MatchCTMark,
}

// set returns the fields that packets have to match, of those that can be negated.
func (r Rule) set() Match {
	var set Match
	for match, is := range map[Match]bool{
		MatchInDevName: r.InDevName != "", MatchOutDevName: r.OutDevName != "",
		MatchProtocol: r.Protocol != 0, MatchSrc: len(r.Src) > 0, MatchDst: len(r.Dst) > 0,
		MatchSrcPort: len(r.SrcPort) > 0, MatchDstPort: len(r.DstPort) > 0,
		MatchPort: len(r.Port) > 0, MatchICMPType: r.ICMPType.set, MatchUID: r.UID.set,
		MatchGID: r.GID.set, MatchCgroup: r.Cgroup != "", MatchMark: r.MarkMask != 0,
		MatchCTState: r.CTState != 0, MatchCTMark: r.CTMarkMask != 0,
	} {
		if is {
			set |= match
		}
	}
	return set
}

// not reports whether a field is negated.
func (r Rule) not(m Match) bool { return r.Not&m != 0 }

func inverse[K, V comparable](m map[K]V) map[V]K {
	i := make(map[V]K, len(m))
	for k, v := range m {
		i[v] = k
	}
	return i
}
