// SPDX-License-Identifier: GPL-2.0-or-later

package pcapfilter

// constants are the named numbers of pcap-filter(7).
var constants = map[string]uint32{
	"tcpflags": 13, "tcp-fin": 0x01, "tcp-syn": 0x02, "tcp-rst": 0x04, "tcp-push": 0x08, "tcp-ack": 0x10,
	"tcp-urg": 0x20, "tcp-ece": 0x40, "tcp-cwr": 0x80,

	"icmptype": 0, "icmpcode": 1, "icmp-echoreply": 0, "icmp-unreach": 3, "icmp-sourcequench": 4, "icmp-redirect": 5,
	"icmp-echo": 8, "icmp-routeradvert": 9, "icmp-routersolicit": 10, "icmp-timxceed": 11, "icmp-paramprob": 12,
	"icmp-tstamp": 13, "icmp-tstampreply": 14, "icmp-ireq": 15, "icmp-ireqreply": 16, "icmp-maskreq": 17, "icmp-maskreply": 18,

	"icmp6type": 0, "icmp6code": 1, "icmp6-destinationunreach": 1, "icmp6-packettoobig": 2, "icmp6-timeexceeded": 3,
	"icmp6-parameterproblem": 4, "icmp6-echo": 128, "icmp6-echoreply": 129, "icmp6-multicastlistenerquery": 130,
	"icmp6-multicastlistenerreportv1": 131, "icmp6-multicastlistenerdone": 132, "icmp6-routersolicit": 133,
	"icmp6-routeradvert": 134, "icmp6-neighborsolicit": 135, "icmp6-neighboradvert": 136, "icmp6-redirect": 137,
}

// abbreviations are the protocols that are a primitive by themselves. Some exist in one version of IP only.
var abbreviations = map[string]pred{
	"ip": ip4, "ip6": ip6,
	"tcp": both(protoTCP), "udp": both(protoUDP), "sctp": both(protoSCTP),
	"icmp": protocol4(protoICMP), "icmp6": protocol6(protoICMP6),
	"igmp": protocol4(2), "vrrp": protocol4(112), "pim": both(103), "ah": both(51), "esp": both(50),
}

func both(number byte) pred { return or(protocol4(number), protocol6(number)) }

// protocolNumbers are names for "proto".
var protocolNumbers = map[string]byte{
	"icmp": protoICMP, "igmp": 2, "tcp": protoTCP, "udp": protoUDP, "gre": 47, "esp": 50, "ah": 51, "icmp6": protoICMP6,
	"pim": 103, "vrrp": 112, "sctp": protoSCTP, "udplite": 136,
}

// linkWords are about what packets do not have here.
var linkWords = map[string]bool{
	"ether": true, "link": true, "arp": true, "rarp": true, "vlan": true, "mpls": true, "pppoed": true, "pppoes": true, "llc": true, "stp": true,
	"broadcast": true, "gateway": true, "wlan": true, "fddi": true, "tr": true, "ppp": true, "slip": true, "decnet": true, "atalk": true, "aarp": true,
	"iso": true, "ipx": true, "netbeui": true, "geneve": true,
}
