// SPDX-License-Identifier: GPL-2.0-or-later

package rules

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/word"
)

// nftTable is the name of the table in printed commands.
const nftTable = "nfqueue"

// NFT returns shell commands that make the same rule with nft, in a table of the name
// nfqueue: for the table and the chains, which do nothing if those exist, for the rules of
// an Offload, and for the rule, several of them for a Port, or if packets must have a
// transport header. The table stays until somebody deletes it. The error is a *FieldError.
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
		r.nftChain(table, r.chain(), r.Priority),
	}
	if o := r.Offload; o != (Offload{}) {
		lines = append(lines, r.nftChain(table, r.chainBehind(), r.Priority+1))
		for _, s := range o.steps() {
			lines = append(lines, fmt.Sprintf("add rule %s %s %s", table, r.chain(), o.nftStep(s)))
		}
		for _, s := range o.stepsBehind() {
			rule := fmt.Sprintf("add rule %s %s %s", table, r.chainBehind(), o.nftStep(s))
			lines = append(lines, rule)
		}
	}
	for _, one := range r.singles() {
		lines = append(lines, fmt.Sprintf("add rule %s %s %s", table, r.chain(), one.nftRule()))
	}
	for i, l := range lines {
		lines[i] = "nft " + word.Quote(l)
	}
	return lines, nil
}

// nftChain returns the command that makes a chain at the rule's hook.
func (r Rule) nftChain(table, chain string, priority int32) string {
	return fmt.Sprintf("add chain %s %s { type filter hook %v priority %d; policy accept; }",
		table, chain, r.Hook, priority)
}

// chain is the name of the chain for the rule's hook and priority.
func (r Rule) chain() string {
	if r.Priority == 0 {
		return r.Hook.String()
	}
	return r.Hook.String() + "." + strconv.Itoa(int(r.Priority))
}

// chainBehind is the name of the chain for packets that the queue has accepted.
func (r Rule) chainBehind() string { return r.chain() + ".decided" }

// nftRule returns the matches and the statement.
func (r single) nftRule() string {
	var s []string
	add := func(format string, args ...any) { s = append(s, fmt.Sprintf(format, args...)) }
	if r.InDevName != "" {
		add("iifname %q", r.InDevName)
	}
	if r.OutDevName != "" {
		add("oifname %q", r.OutDevName)
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
	if c := nftConditions[r.has]; c != "" {
		add("%s", c)
	}
	if r.UID.set {
		add("meta skuid %v", r.UID)
	}
	if r.GID.set {
		add("meta skgid %v", r.GID)
	}
	if r.MarkMask != 0 {
		add("%s", nftBits("meta mark", r.Mark, r.MarkMask))
	}
	if r.CTState != 0 {
		add("ct state %v", r.CTState)
	}
	if r.CTMarkMask != 0 {
		add("%s", nftBits("ct mark", r.CTMark, r.CTMarkMask))
	}
	if r.FirstPackets != 0 {
		add("ct packets <= %d", r.FirstPackets)
	}
	if r.FirstBytes != 0 {
		add("ct bytes <= %d", r.FirstBytes)
	}
	add("queue num %s%s", r.queues("-"), r.nftQueueFlags())
	return strings.Join(s, " ")
}

var nftConditions = [...]string{
	anyPacket: "", firstIPv4: "ip frag-off & 0x1fff == 0",
	unfragmented: "exthdr frag missing", firstIPv6: "frag frag-off 0",
}

func nftBits(what string, value, mask uint32) string {
	if mask == ^uint32(0) {
		return fmt.Sprintf("%s %#x", what, value)
	}
	return fmt.Sprintf("%s & %#x == %#x", what, mask, value)
}

// nftStep returns the matches and statements of a step.
func (o Offload) nftStep(s step) string {
	var words []string
	add := func(format string, args ...any) { words = append(words, fmt.Sprintf(format, args...)) }
	switch {
	case s.only == reopening:
		add("%s ct state established tcp flags & (fin | syn | rst | ack) == syn",
			nftBits("meta mark", 0, o.Mask))
	case s.repeated:
		add("%s", nftBits("meta mark", o.bits(s.on), o.Mask))
	default:
		add("%s", nftBits("ct mark", o.bits(s.on), o.Mask))
	}
	switch s.only {
	case unmarked:
		add("%s", nftBits("meta mark", 0, o.Mask))
	case tcpSegments:
		add("meta l4proto tcp")
	case tcpResets:
		add("tcp flags & rst == rst")
	case icmpErrors:
		add("meta l4proto icmp ct state related")
	case icmpv6Errors:
		add("meta l4proto icmpv6 ct state related")
	}
	if s.do == undecide {
		add("ct mark set ct mark & %#x", ^o.Mask)
		return strings.Join(words, " ")
	}
	if s.repeated {
		add("ct mark set ct mark & %#x | %#x", ^o.Mask, o.bits(s.on))
		add("meta mark set meta mark & %#x", ^o.Mask)
	}
	add("%s", [...]string{
		accept: "accept", drop: "drop", reset: "reject with tcp reset",
		unreachable: "reject with icmpx type port-unreachable",
	}[s.do])
	return strings.Join(words, " ")
}

// nftNetwork matches the network protocol if no address does it.
func (r single) nftNetwork() string {
	n := r.Rule.network()
	if n == 0 || r.Src.Bits() > 0 || r.Dst.Bits() > 0 {
		return ""
	}
	if r.Family == nfqueue.FamilyBridge {
		return "meta protocol " + n.String()
	}
	if n == nfqueue.FamilyIPv4 {
		return "meta nfproto ipv4"
	}
	return "meta nfproto ipv6"
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
