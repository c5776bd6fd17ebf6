// SPDX-License-Identifier: GPL-2.0-or-later

package pcapfilter

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/chifflier/nfqueue-go/internal/word"
)

// constants are the named numbers.
var constants = map[string]uint32{
	"tcpflags": 13, "tcp-fin": 0x01, "tcp-syn": 0x02, "tcp-rst": 0x04, "tcp-push": 0x08,
	"tcp-ack": 0x10, "tcp-urg": 0x20, "tcp-ece": 0x40, "tcp-cwr": 0x80,

	"icmptype": 0, "icmpcode": 1, "icmp-echoreply": 0, "icmp-unreach": 3,
	"icmp-sourcequench": 4, "icmp-redirect": 5, "icmp-echo": 8, "icmp-routeradvert": 9,
	"icmp-routersolicit": 10, "icmp-timxceed": 11, "icmp-paramprob": 12, "icmp-tstamp": 13,
	"icmp-tstampreply": 14, "icmp-ireq": 15, "icmp-ireqreply": 16, "icmp-maskreq": 17,
	"icmp-maskreply": 18,

	"icmp6type": 0, "icmp6code": 1, "icmp6-destinationunreach": 1, "icmp6-packettoobig": 2,
	"icmp6-timeexceeded": 3, "icmp6-parameterproblem": 4, "icmp6-echo": 128,
	"icmp6-echoreply": 129, "icmp6-multicastlistenerquery": 130,
	"icmp6-multicastlistenerreportv1": 131, "icmp6-multicastlistenerdone": 132,
	"icmp6-routersolicit": 133, "icmp6-routeradvert": 134, "icmp6-neighborsolicit": 135,
	"icmp6-neighboradvert": 136, "icmp6-redirect": 137, "icmp6-routerrenum": 138,
	"icmp6-nodeinformationquery": 139, "icmp6-nodeinformationresponse": 140,
	"icmp6-ineighbordiscoverysolicit": 141, "icmp6-ineighbordiscoveryadvert": 142,
	"icmp6-multicastlistenerreportv2": 143, "icmp6-homeagentdiscoveryrequest": 144,
	"icmp6-homeagentdiscoveryreply": 145, "icmp6-mobileprefixsolicit": 146,
	"icmp6-mobileprefixadvert": 147, "icmp6-certpathsolicit": 148, "icmp6-certpathadvert": 149,
	"icmp6-multicastrouteradvert": 151, "icmp6-multicastroutersolicit": 152,
	"icmp6-multicastrouterterm": 153,
}

// keywords are the words that are no names. A backslash makes a name of one.
var keywords = make(map[string]bool)

// notHere are keywords for what packets do not have here, and what to say then.
var notHere = make(map[string]string)

func init() {
	for _, name := range strings.Fields(`
		src dst ip sctp tcp udp icmp igmp igrp pim vrrp carp ip6 icmp6 ah esp arp rarp host
		net mask port portrange proto protochain gateway less greater byte broadcast multicast
		len length inbound outbound`) {
		keywords[name] = true
	}
	for _, group := range []struct{ words, why string }{
		{`
			link ether ppp slip fddi tr wlan radio atalk aarp decnet lat sca moprc mopdl iso
			esis es-is isis is-is l1 l2 iih lsp snp csnp psnp clnp stp ipx netbeui type
			subtype direction dir address1 addr1 address2 addr2 address3 addr3 address4 addr4
			ra ta vlan mpls pppoed pppoes lane llc metac bcc oam oamf4 oamf4ec oamf4sc sc
			ilmic vpi vci connectmsg metaconnect fisu lssu lsu msu hfisu hlssu hmsu sio opc
			dpc sls hsio hopc hdpc hsls`,
			"packets have no link layer here; a filter is about IP, ARP and what is above"},
		{`ifindex`, "the rule chooses interfaces: write iif or oif there"},
		{`on ifname rset ruleset rnr rulenum srnr subrulenum reason action`,
			"this is about the firewall pf, which Linux lacks"},
		{`geneve`, "headers inside a tunnel are not found; compare bytes such as udp[8:4]"},
		{`protochain`, "extension headers are not followed; use proto, or bytes such as ip6[40]"},
		{`gateway`, "this needs link-layer addresses, which packets do not have here"},
	} {
		for _, name := range strings.Fields(group.words) {
			keywords[name] = true
			notHere[name] = group.why
		}
	}
}

// ofRules are words of the rules that choose packets for a queue, and what a filter has instead.
var ofRules = map[string]string{
	"sport": "src port", "dport": "dst port", "saddr": "src host", "daddr": "dst host",
	"icmpv6": "icmp6",
}

// instead says what to write instead of a name where there can be none, and otherwise that wanted
// was expected.
func instead(t token, wanted string) string {
	if t.kind != tokenName {
		return "expected " + wanted
	}
	if other := ofRules[t.text]; other != "" {
		return "write " + other
	}
	usable := slices.Collect(maps.Keys(keywords))
	usable = slices.DeleteFunc(usable, func(w string) bool { return notHere[w] != "" })
	slices.Sort(usable)
	if meant := word.Closest(t.text, append(usable, "and", "not")); meant != "" {
		return fmt.Sprintf("no such word; did you mean %q?", meant)
	}
	return "expected " + wanted
}
