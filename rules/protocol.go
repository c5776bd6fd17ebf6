// SPDX-License-Identifier: GPL-2.0-or-later

package rules

import (
	"strconv"

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
	ICMP: "icmp", TCP: "tcp", UDP: "udp", DCCP: "dccp", ICMPv6: "icmpv6", SCTP: "sctp", UDPLite: "udplite",
}

var protocolOfName = inverse(protocolNames)

func inverse[K, V comparable](m map[K]V) map[V]K {
	i := make(map[V]K, len(m))
	for k, v := range m {
		i[v] = k
	}
	return i
}

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
// nf_tables and ip6tables look for the protocol (ipv6_find_hdr). AH is one only for ip6tables.
func isExtension(p Protocol) bool {
	switch p {
	case 0, 43, 44, 60: // NEXTHDR_HOP, _ROUTING, _FRAGMENT, _DEST of net/ipv6.h
		return true
	}
	return false
}
