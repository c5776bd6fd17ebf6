// SPDX-License-Identifier: GPL-2.0-or-later

package rules

import (
	"strconv"

	"github.com/chifflier/nfqueue-go"
)

// Protocol is the number of a transport protocol (IPPROTO_*), in IPv6 that of the
// last header. Zero is any.
type Protocol uint8

// Protocols that have a name in the text form. Any other can be given by number.
const (
	ICMP    Protocol = 1
	TCP     Protocol = 6
	UDP     Protocol = 17
	DCCP    Protocol = 33
	ICMPv6  Protocol = 58
	SCTP    Protocol = 132
	UDPLite Protocol = 136
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

// String returns the name of the protocol, or its number.
func (p Protocol) String() string {
	if name, ok := protocolNames[p]; ok {
		return name
	}
	return strconv.Itoa(int(p))
}

func (p Protocol) hasPorts() bool {
	switch p {
	case TCP, UDP, DCCP, SCTP, UDPLite:
		return true
	}
	return false
}

// network returns the only family that carries the protocol, 0 if both do.
func (p Protocol) network() nfqueue.Family {
	switch p {
	case ICMP:
		return nfqueue.FamilyIPv4
	case ICMPv6:
		return nfqueue.FamilyIPv6
	}
	return 0
}
