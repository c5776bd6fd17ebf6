// SPDX-License-Identifier: GPL-2.0-or-later

package rules

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/chifflier/nfqueue-go"
)

// nftTable is the name of the table in printed commands.
const nftTable = "nfqueue"

// NFT returns shell commands that make the same rule with nft, in a table of the name
// nfqueue: for the table and the chain, which do nothing if those exist, and for the
// rule, two of them for a Port. The table stays until somebody deletes it. The error
// is a *FieldError.
func (r Rule) NFT() ([]string, error) {
	if err := r.Validate(); err != nil {
		return nil, err
	}
	r = r.normal()
	table := "inet " + nftTable
	if r.Family == nfqueue.FamilyBridge {
		table = "bridge " + nftTable
	}
	lines := []string{
		"add table " + table,
		fmt.Sprintf("add chain %s %s { type filter hook %v priority %d; policy accept; }", table, r.chain(), r.Hook, r.Priority),
	}
	for _, one := range r.oneWay() {
		lines = append(lines, fmt.Sprintf("add rule %s %s %s", table, r.chain(), one.nftRule()))
	}
	for i, l := range lines {
		lines[i] = "nft " + quote(l)
	}
	return lines, nil
}

// chain is the name of the chain for the rule's hook and priority.
func (r Rule) chain() string {
	if r.Priority == 0 {
		return r.Hook.String()
	}
	return r.Hook.String() + "." + strconv.Itoa(int(r.Priority))
}

// oneWay returns the rules without Port that match the same together. They exclude
// each other in effect: what one queues does not reach the next.
func (r Rule) oneWay() []Rule {
	if r.Port == (Ports{}) {
		return []Rule{r}
	}
	src, dst := r, r
	src.Port, src.SrcPort = Ports{}, r.Port
	dst.Port, dst.DstPort = Ports{}, r.Port
	return []Rule{src, dst}
}

// nftRule returns the matches and the statement.
func (r Rule) nftRule() string {
	var s []string
	add := func(format string, args ...any) { s = append(s, fmt.Sprintf(format, args...)) }
	if r.InIface != "" {
		add("iifname %q", r.InIface)
	}
	if r.OutIface != "" {
		add("oifname %q", r.OutIface)
	}
	if m := r.nftNetwork(); m != "" {
		add("%s", m)
	}
	if r.Src.Bits() > 0 {
		add("%v saddr %s", r.network(), address(r.Src))
	}
	if r.Dst.Bits() > 0 {
		add("%v daddr %s", r.network(), address(r.Dst))
	}
	if r.SrcPort != (Ports{}) {
		add("%v sport %v", r.Protocol, r.SrcPort)
	}
	if r.DstPort != (Ports{}) {
		add("%v dport %v", r.Protocol, r.DstPort)
	}
	if r.ICMPType.set {
		add("%v type %s", r.Protocol, r.ICMPType.name(r.Protocol))
	}
	if r.Protocol != 0 && r.SrcPort == (Ports{}) && r.DstPort == (Ports{}) && !r.ICMPType.set {
		add("meta l4proto %s", protocolText(r.Protocol))
	}
	switch r.MarkMask {
	case 0:
	case ^uint32(0):
		add("meta mark %#x", r.Mark)
	default:
		add("meta mark & %#x == %#x", r.MarkMask, r.Mark)
	}
	if r.CTState != 0 {
		add("ct state %v", r.CTState)
	}
	add("queue num %s%s", r.queues("-"), r.nftQueueFlags())
	return strings.Join(s, " ")
}

// nftNetwork matches the network protocol if no address does it.
func (r Rule) nftNetwork() string {
	n := r.network()
	if n == 0 || r.Src.Bits() > 0 || r.Dst.Bits() > 0 {
		return ""
	}
	if r.Family == nfqueue.FamilyBridge {
		return "meta protocol " + n.String()
	}
	return "meta nfproto " + map[nfqueue.Family]string{nfqueue.FamilyIPv4: "ipv4", nfqueue.FamilyIPv6: "ipv6"}[n]
}

func (r Rule) nftQueueFlags() string {
	var flags []string
	if !r.NoBypass {
		flags = append(flags, "bypass")
	}
	if r.Fanout {
		flags = append(flags, "fanout")
	}
	if flags == nil {
		return ""
	}
	return " " + strings.Join(flags, ",")
}
