// SPDX-License-Identifier: GPL-2.0-or-later

package rules

import "strconv"

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
		0: "echo-reply", 3: "destination-unreachable", 4: "source-quench", 5: "redirect", 8: "echo-request",
		9: "router-advertisement", 10: "router-solicitation", 11: "time-exceeded", 12: "parameter-problem",
		13: "timestamp-request", 14: "timestamp-reply",
	}
	icmpv6Names = map[uint8]string{
		1: "destination-unreachable", 2: "packet-too-big", 3: "time-exceeded", 4: "parameter-problem",
		128: "echo-request", 129: "echo-reply", 130: "mld-listener-query", 131: "mld-listener-report",
		132: "mld-listener-done", 133: "nd-router-solicit", 134: "nd-router-advert", 135: "nd-neighbor-solicit",
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
