// SPDX-License-Identifier: GPL-2.0-or-later

package packetview

import (
	"fmt"

	"github.com/gopacket/gopacket/layers"
)

// protocolNames are those of https://www.iana.org/assignments/protocol-numbers.
var protocolNames = map[layers.IPProtocol]string{
	0: "HOPOPT", 1: "ICMP", 2: "IGMP", 4: "IPIP", 6: "TCP", 17: "UDP", 33: "DCCP", 41: "IPv6",
	43: "IPv6-Route", 44: "IPv6-Frag",
	46: "RSVP", 47: "GRE", 50: "ESP", 51: "AH", 58: "ICMP6", 59: "IPv6-NoNxt", 60: "IPv6-Opts",
	88: "EIGRP", 89: "OSPF",
	94: "IPIP", 97: "EtherIP", 103: "PIM", 108: "IPComp", 112: "VRRP", 115: "L2TP", 132: "SCTP",
	136: "UDPLite", 137: "MPLS",
}

func ianaName(p layers.IPProtocol) string {
	if name, ok := protocolNames[p]; ok {
		return name
	}
	return fmt.Sprintf("protocol-%d", p)
}
