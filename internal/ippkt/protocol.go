// SPDX-License-Identifier: GPL-2.0-or-later

package ippkt

import "strconv"

// Protocol is the number of an upper-layer protocol, from the IANA registry. The package nfqueue
// exports it.
type Protocol uint8

// Protocols by the names of linux/in.h and linux/in6.h, without IPPROTO_.
const (
	ICMP    Protocol = 1
	IGMP    Protocol = 2
	TCP     Protocol = 6
	UDP     Protocol = 17
	DCCP    Protocol = 33
	GRE     Protocol = 47
	ESP     Protocol = 50
	AH      Protocol = 51
	ICMPv6  Protocol = 58
	SCTP    Protocol = 132
	UDPLite Protocol = 136
)

// The other IPv6 extension headers (RFC 8200 section 4); AH is one too.
const (
	hopByHopOptions    Protocol = 0
	routingHeader      Protocol = 43
	fragmentHeader     Protocol = 44
	destinationOptions Protocol = 60
)

// String returns the name of the protocol as nft and iptables write it.
func (p Protocol) String() string {
	switch p {
	case ICMP:
		return "icmp"
	case IGMP:
		return "igmp"
	case TCP:
		return "tcp"
	case UDP:
		return "udp"
	case DCCP:
		return "dccp"
	case GRE:
		return "gre"
	case ESP:
		return "esp"
	case AH:
		return "ah"
	case ICMPv6:
		return "icmpv6"
	case SCTP:
		return "sctp"
	case UDPLite:
		return "udplite"
	}
	return "protocol " + strconv.Itoa(int(p))
}

// HasPorts reports whether the protocol's header begins with two ports.
func (p Protocol) HasPorts() bool {
	switch p {
	case TCP, UDP, UDPLite, SCTP, DCCP:
		return true
	}
	return false
}

// isICMP reports whether p is the ICMP of an IP version.
func (p Protocol) isICMP(version uint8) bool {
	return p == ICMP && version == 4 || p == ICMPv6 && version == 6
}
