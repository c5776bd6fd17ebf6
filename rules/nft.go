// SPDX-License-Identifier: GPL-2.0-or-later

package rules

import (
	"fmt"
	"hash/crc32"
	"net/netip"
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
	if syn, ok := r.invalidSYNs(); ok {
		lines = append(lines, syn.nftRules(table, r.chainOfOthers()+"-syn", "drop", nftOpens)...)
	}
	queue := fmt.Sprintf("queue num %s%s", r.queues("-"), r.nftQueueFlags())
	lines = append(lines, r.nftRules(table, r.chainOfOthers(), queue)...)
	for i, l := range lines {
		lines[i] = "nft " + word.Quote(l)
	}
	return lines, nil
}

// nftRules returns the commands that do something with what the rule and further matches match.
// others is for packets that are not of the control group.
func (r Rule) nftRules(table, others, end string, further ...string) (lines []string) {
	if r.not(MatchCgroup) {
		lines = append(lines, fmt.Sprintf("add chain %s %s", table, others),
			fmt.Sprintf("add rule %s %s %s return", table, others, r.nftCgroup()),
			fmt.Sprintf("add rule %s %s %s", table, others, end))
		end = "jump " + others
	}
	for _, one := range r.singles() {
		words := append(append(one.nftMatches(), further...), end)
		lines = append(lines, fmt.Sprintf("add rule %s %s %s", table, r.chain(),
			strings.Join(words, " ")))
	}
	return lines
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

// chainOfOthers is the name of the chain for packets that are not of a control group, another one
// for each rule.
func (r Rule) chainOfOthers() string {
	return fmt.Sprintf("%s.not-cgroup-%08x", r.chain(), crc32.ChecksumIEEE([]byte(r.String())))
}

// nftCgroup matches the control group.
func (r Rule) nftCgroup() string {
	return fmt.Sprintf(`socket cgroupv2 level %d "%s"`, strings.Count(r.Cgroup, "/"), r.Cgroup[1:])
}

// nftMatches returns the matches.
func (r single) nftMatches() []string {
	var s []string
	add := func(format string, args ...any) { s = append(s, fmt.Sprintf(format, args...)) }
	match := func(m Match, what, value string) {
		if r.set()&m == 0 {
			return
		}
		if r.not(m) {
			what += " !="
		}
		add("%s %s", what, value)
	}
	match(MatchInDevName, "iifname", strconv.Quote(r.InDevName))
	match(MatchOutDevName, "oifname", strconv.Quote(r.OutDevName))
	if m := r.nftNetwork(); m != "" {
		add("%s", m)
	}
	if restricts(r.Src) {
		match(MatchSrc, r.network().String()+" saddr", nftSet(addresses(r.Src)))
	}
	if restricts(r.Dst) {
		match(MatchDst, r.network().String()+" daddr", nftSet(addresses(r.Dst)))
	}
	sport := r.Protocol.String() + " sport"
	if r.not(MatchSrcPort) && r.not(MatchDstPort) {
		sport += " & 0xffff" // nft 1.0.6 makes one comparison of two that follow each other
	}
	match(MatchSrcPort, sport, nftSet(r.SrcPort.texts("-")))
	match(MatchDstPort, r.Protocol.String()+" dport", nftSet(r.DstPort.texts("-")))
	match(MatchICMPType, r.Protocol.String()+" type", r.ICMPType.name(r.Protocol))
	if !r.hasPorts() && !r.ICMPType.set {
		match(MatchProtocol, "meta l4proto", protocolText(r.Protocol))
	}
	if c := nftConditions[r.has]; c != "" {
		add("%s", c)
	}
	match(MatchUID, "meta skuid", r.UID.String())
	match(MatchGID, "meta skgid", r.GID.String())
	if r.MarkMask != 0 {
		add("%s", nftBits("meta mark", r.Mark, r.MarkMask, r.not(MatchMark)))
	}
	if states := strings.Split(r.CTState.String(), ","); r.not(MatchCTState) {
		add("ct state != %s", nftSet(states))
	} else if r.CTState != 0 {
		add("ct state %v", r.CTState)
	}
	if r.CTMarkMask != 0 {
		add("%s", nftBits("ct mark", r.CTMark, r.CTMarkMask, r.not(MatchCTMark)))
	}
	if r.FirstPackets != 0 {
		add("ct packets <= %d", r.FirstPackets)
	}
	if r.FirstBytes != 0 {
		add("ct bytes <= %d", r.FirstBytes)
	}
	switch {
	case r.not(MatchCgroup):
		add("socket wildcard { 0, 1 }") // has a socket
	case r.Cgroup != "":
		add("%s", r.nftCgroup())
	}
	return s
}

// nftSet returns one value, or a set of them.
func nftSet(values []string) string {
	if len(values) == 1 {
		return values[0]
	}
	return "{ " + strings.Join(values, ", ") + " }"
}

// restricts reports whether prefixes have fewer than all addresses of their family.
func restricts(all []netip.Prefix) bool { return len(all) > 0 && all[0].Bits() > 0 }

var nftConditions = [...]string{
	anyPacket: "", firstIPv4: "ip frag-off & 0x1fff == 0",
	unfragmented: "exthdr frag missing", firstIPv6: "frag frag-off 0",
}

func nftBits(what string, value, mask uint32, not bool) string {
	compare := "=="
	if not {
		compare = "!="
	}
	switch {
	case mask != ^uint32(0):
		return fmt.Sprintf("%s & %#x %s %#x", what, mask, compare, value)
	case not:
		return fmt.Sprintf("%s != %#x", what, value)
	}
	return fmt.Sprintf("%s %#x", what, value)
}

// nftOpens matches a SYN.
const nftOpens = "tcp flags & (fin | syn | rst | ack) == syn"

// nftStep returns the matches and statements of a step.
func (o Offload) nftStep(s step) string {
	var words []string
	add := func(format string, args ...any) { words = append(words, fmt.Sprintf(format, args...)) }
	switch {
	case s.only == reopening:
		add("%s %s ct state new,established ct status confirmed", nftOpens,
			nftBits("meta mark", 0, o.Mask, false))
	case s.only == unblocked:
		add("%s", nftBits("ct mark", 0, o.bits(decidedDrop), false))
	case s.repeated:
		add("%s", nftBits("meta mark", o.bits(s.on), o.Mask, false))
	default:
		add("%s", nftBits("ct mark", o.bits(s.on), o.Mask, false))
	}
	switch s.only {
	case unmarked:
		add("%s", nftBits("meta mark", 0, o.Mask, false))
	case opening:
		add(nftOpens)
	case tcpSegments:
		add("meta l4proto tcp")
	case tcpResets:
		add("tcp flags & rst == rst")
	case icmpErrors:
		add("meta l4proto icmp ct state related")
	case icmpv6Errors:
		add("meta l4proto icmpv6 ct state related")
	}
	switch {
	case s.do == undecide:
		add("ct mark set ct mark & %#x", ^o.Mask)
		return strings.Join(words, " ")
	case s.do == save:
		add("ct mark set ct mark & %#x | %#x", ^o.Mask, o.bits(s.on))
		return strings.Join(words, " ")
	case s.repeated && s.do != pass:
		add("meta mark set meta mark & %#x", ^o.Mask)
	}
	add("%s", [...]string{
		pass: "accept", accept: "accept", drop: "drop", reset: "reject with tcp reset",
		unreachable: "reject with icmpx type port-unreachable",
	}[s.do])
	return strings.Join(words, " ")
}

// nftNetwork matches the network protocol if no address does it.
func (r single) nftNetwork() string {
	n := r.Rule.network()
	if n == 0 || restricts(r.Src) || restricts(r.Dst) {
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
