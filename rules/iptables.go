// SPDX-License-Identifier: GPL-2.0-or-later

package rules

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/word"
)

// iptablesTables are the tables of iptables by priority and the hooks at which they
// have chains.
var iptablesTables = []struct {
	name     string
	priority int32
	hooks    []nfqueue.Hook
}{
	{"filter", 0, []nfqueue.Hook{nfqueue.HookInput, nfqueue.HookForward, nfqueue.HookOutput}},
	{"raw", -300, []nfqueue.Hook{nfqueue.HookPrerouting, nfqueue.HookOutput}},
	{"mangle", -150, []nfqueue.Hook{
		nfqueue.HookPrerouting, nfqueue.HookInput, nfqueue.HookForward, nfqueue.HookOutput,
		nfqueue.HookPostrouting,
	}},
	{"security", 50, []nfqueue.Hook{nfqueue.HookInput, nfqueue.HookForward, nfqueue.HookOutput}},
}

// IPTables returns shell commands that make the same rule with iptables, ip6tables, or
// one of each. The error is a *FieldError, also when iptables cannot say the rule:
// it knows no bridge, and at each hook only the priorities of its tables.
//
// For an Offload they do all but two things: the packet that is repeated keeps its mark, and
// nothing catches packets that were queued before their connection was decided and that the
// handler accepts one by one. One command, or one for each way that packets go, is for the table
// behind: a SYN makes a connection undecided there. It has to come before other rules of that chain
// that accept packets. No table is behind mangle at postrouting and security at input. There a SYN
// that is queued behind packets of a decided connection with the same ports may inherit the
// decision, and the first line is a comment that says so.
//
// For FirstPackets and FirstBytes older connections never match. A negated UID or GID comes with a
// range of all others, which has to be made narrower in a user namespace that maps fewer.
func (r Rule) IPTables() ([]string, error) {
	if err := r.Validate(); err != nil {
		return nil, err
	}
	r = r.normal()
	if err := r.iptablesLacks(); err != nil {
		return nil, err
	}
	table, err := r.iptablesTable()
	if err != nil {
		return nil, err
	}
	if o := r.Offload; o != (Offload{}) && !o.NoReject && table != "filter" {
		return nil, &FieldError{"Offload", errors.New("iptables rejects in the table filter " +
			"only, at priority 0 of input, forward and output; use that or NoReject")}
	}
	var lines []string
	behind := r.iptablesBehind()
	if r.Offload != (Offload{}) && len(behind) == 0 {
		lines = append(lines, "# no table of iptables is behind: a SYN that is queued behind "+
			"packets of a decided connection with the same ports may inherit the decision")
	}
	add := func(f nfqueue.Family, at iptablesChain, args []string) {
		args = append([]string{iptablesProgram(f), "-t", at.table, "-A",
			strings.ToUpper(at.hook.String())}, args...)
		for i, a := range args {
			args[i] = word.Quote(a)
		}
		lines = append(lines, strings.Join(args, " "))
	}
	chain := iptablesChain{table, r.Hook}
	for _, f := range []nfqueue.Family{nfqueue.FamilyIPv4, nfqueue.FamilyIPv6} {
		if n := r.network(); n != 0 && n != f || !r.iptablesCan(f) {
			continue
		}
		if o := r.Offload; o != (Offload{}) {
			for _, args := range o.iptablesSteps(f) {
				add(f, chain, args)
			}
			for _, at := range behind {
				add(f, at, o.iptablesStep(step{only: reopening, do: undecide}, f))
			}
		}
		if syn, ok := r.invalidSYNs(); ok {
			for _, one := range syn.multiports() {
				add(f, chain, append(one.iptablesMatches(), "-m", "tcp", "--syn", "-j", "DROP"))
			}
		}
		for _, one := range r.multiports() {
			add(f, chain, append(one.iptablesMatches(), one.iptablesTarget()...))
		}
	}
	return lines, nil
}

// anyICMPType is how iptables says any type.
const anyICMPType = 255

// iptablesCan reports whether the protocol can match in packets of a family: ip6tables looks
// behind extension headers, and ip6tables-legacy behind AH too.
func (r Rule) iptablesCan(f nfqueue.Family) bool {
	return f != nfqueue.FamilyIPv6 || r.not(MatchProtocol) || !r.hiddenFromIPTables()
}

// hiddenFromIPTables reports whether ip6tables, or ip6tables-legacy, never finds the protocol in
// a packet.
func (r Rule) hiddenFromIPTables() bool {
	return r.Protocol == nfqueue.AH || r.Protocol != 0 && isExtension(r.Protocol)
}

func iptablesProgram(f nfqueue.Family) string {
	if f == nfqueue.FamilyIPv6 {
		return "ip6tables"
	}
	return "iptables"
}

// iptablesTable returns the table that has the rule's hook and priority.
func (r Rule) iptablesTable() (string, error) {
	var possible []string
	for _, t := range iptablesTables {
		for _, h := range t.hooks {
			if h != r.Hook {
				continue
			}
			if t.priority == r.Priority {
				return t.name, nil
			}
			possible = append(possible, fmt.Sprintf("%d (table %s)", t.priority, t.name))
		}
	}
	return "", &FieldError{"Priority", fmt.Errorf("at %v iptables has only the priorities %s",
		r.Hook, strings.Join(possible, ", "))}
}

// iptablesChain is a chain of iptables.
type iptablesChain struct {
	table string
	hook  nfqueue.Hook
}

// hooksBehind are the hooks to which packets go on.
var hooksBehind = map[nfqueue.Hook][]nfqueue.Hook{
	nfqueue.HookPrerouting: {nfqueue.HookInput, nfqueue.HookForward},
	nfqueue.HookForward:    {nfqueue.HookPostrouting},
	nfqueue.HookOutput:     {nfqueue.HookPostrouting},
}

// iptablesBehind returns the chains that packets pass next behind the queue, of which each packet
// passes one. It returns none if the queue is in the last one.
func (r Rule) iptablesBehind() (chains []iptablesChain) {
	if next := firstTable(r.Hook, r.Priority+1); next != "" {
		return []iptablesChain{{next, r.Hook}}
	}
	for _, h := range hooksBehind[r.Hook] {
		chains = append(chains, iptablesChain{firstTable(h, math.MinInt32), h})
	}
	return chains
}

// firstTable returns the table with the lowest priority at a hook that is not below another one,
// empty if there is none.
func firstTable(h nfqueue.Hook, least int32) (name string) {
	next := int32(math.MaxInt32)
	for _, t := range iptablesTables {
		if t.priority >= least && t.priority < next && slices.Contains(t.hooks, h) {
			next, name = t.priority, t.name
		}
	}
	return name
}

// iptablesLacks returns an error for what iptables has no option for.
func (r Rule) iptablesLacks() error {
	switch {
	case r.Family == nfqueue.FamilyBridge:
		return &FieldError{"Family", errors.New("iptables sees no bridged frames, and ebtables " +
			"cannot queue")}
	case r.Protocol == nfqueue.AH && r.network() == nfqueue.FamilyIPv6:
		return &FieldError{"Protocol", errors.New("ip6tables-legacy looks behind AH, so its -p " +
			"never matches it")}
	case r.not(MatchProtocol) && r.hiddenFromIPTables() && r.network() != nfqueue.FamilyIPv4:
		return &FieldError{"Protocol", fmt.Errorf("ip6tables looks behind headers of the "+
			"protocol %d; match IPv4 only", r.Protocol)}
	case r.Cgroup != "" && r.Hook != nfqueue.HookOutput:
		return &FieldError{"Cgroup", errors.New("iptables does not look for the socket that " +
			"receives; it knows the control group at output only")}
	case r.ICMPType.set && r.ICMPType.number == anyICMPType:
		return &FieldError{"ICMPType", fmt.Errorf("iptables takes the type %d for any type",
			anyICMPType)}
	case r.InDevName != "" && r.Hook == nfqueue.HookPostrouting:
		return &FieldError{"InDevName", errors.New("iptables does not take the incoming " +
			"interface at postrouting")}
	case strings.HasSuffix(r.InDevName, "+"):
		return &FieldError{"InDevName", errors.New("iptables takes a + at the end for a pattern")}
	case strings.HasSuffix(r.OutDevName, "+"):
		return &FieldError{"OutDevName", errors.New("iptables takes a + at the end for a pattern")}
	}
	return nil
}

// iptablesMatches returns the matches.
func (r Rule) iptablesMatches() []string {
	var args []string
	match := func(m Match, option, value string, module ...string) {
		if r.set()&m == 0 {
			return
		}
		args = append(args, module...)
		if r.not(m) {
			args = append(args, "!")
		}
		args = append(args, option, value)
	}
	match(MatchInDevName, "-i", r.InDevName)
	match(MatchOutDevName, "-o", r.OutDevName)
	args = append(args, r.iptablesAddresses(MatchSrc, r.Src, "-s", "--src-range")...)
	args = append(args, r.iptablesAddresses(MatchDst, r.Dst, "-d", "--dst-range")...)
	protocol := protocolText(r.Protocol)
	if r.Protocol == ICMPv6 {
		protocol = "ipv6-icmp"
	}
	match(MatchProtocol, "-p", protocol)
	args = append(args, r.iptablesPorts()...)
	if r.Protocol == ICMP {
		match(MatchICMPType, "--icmp-type", r.ICMPType.String(), "-m", "icmp")
	} else {
		match(MatchICMPType, "--icmpv6-type", r.ICMPType.String(), "-m", "icmp6")
	}
	args = append(args, r.iptablesOwner()...)
	match(MatchUID, "--uid-owner", r.UID.String())
	match(MatchGID, "--gid-owner", r.GID.String())
	match(MatchCgroup, "--path", r.Cgroup, "-m", "cgroup")
	match(MatchMark, "--mark", markText(r.Mark, r.MarkMask), "-m", "mark")
	match(MatchCTState, "--ctstate", strings.ToUpper(r.CTState.String()), "-m", "conntrack")
	match(MatchCTMark, "--mark", markText(r.CTMark, r.CTMarkMask), "-m", "connmark")
	if r.FirstPackets != 0 {
		args = append(args, iptablesCounted("packets", r.FirstPackets)...)
	}
	if r.FirstBytes != 0 {
		args = append(args, iptablesCounted("bytes", r.FirstBytes)...)
	}
	return args
}

// iptablesOwner begins to match the sender. The kernel's own sockets have neither user nor group,
// and match what is negated unless something is not.
func (r Rule) iptablesOwner() []string {
	const anyone = "0-4294967294"
	switch owners := r.set() & (MatchUID | MatchGID); {
	case owners == 0:
		return nil
	case owners&^r.Not != 0:
		return []string{"-m", "owner"}
	case owners == MatchUID:
		return []string{"-m", "owner", "--gid-owner", anyone}
	case owners == MatchGID:
		return []string{"-m", "owner", "--uid-owner", anyone}
	}
	return []string{"-m", "owner", "--uid-owner", anyone, "-m", "owner"}
}

// multiports returns rules that match the same together, none of which needs more ports than the
// multiport match can say. Ports that are negated stay together: each match excludes some.
func (r Rule) multiports() []Rule {
	all := []Rule{r}
	split := func(m Match, field func(*Rule) *Ports) {
		if r.not(m) {
			return
		}
		var parts []Rule
		for _, one := range all {
			for _, some := range (*field(&one)).multiport() {
				*field(&one) = some
				parts = append(parts, one)
			}
		}
		if len(*field(&r)) > 0 {
			all = parts
		}
	}
	split(MatchSrcPort, func(r *Rule) *Ports { return &r.SrcPort })
	split(MatchDstPort, func(r *Rule) *Ports { return &r.DstPort })
	split(MatchPort, func(r *Rule) *Ports { return &r.Port })
	return all
}

// multiport divides ports as the multiport match needs it, which has room for 15, and of these two
// for each range (XT_MULTI_PORTS).
func (p Ports) multiport() []Ports {
	const room = 15
	var parts []Ports
	used := room
	for _, r := range p {
		need := 2
		if r.single() {
			need = 1
		}
		if used+need > room {
			parts, used = append(parts, nil), 0
		}
		used += need
		parts[len(parts)-1] = append(parts[len(parts)-1], r)
	}
	return parts
}

// iptablesPorts uses the multiport match also for one port: of the tcp and udp matches the iptables
// for nf_tables makes comparisons that later fragments meet too, and one of two negations.
func (r Rule) iptablesPorts() []string {
	var args []string
	for _, side := range []struct {
		match  Match
		ports  Ports
		option string
	}{
		{MatchSrcPort, r.SrcPort, "--sports"},
		{MatchDstPort, r.DstPort, "--dports"},
		{MatchPort, r.Port, "--ports"},
	} {
		for _, some := range side.ports.multiport() {
			args = append(args, "-m", "multiport")
			if r.not(side.match) {
				args = append(args, "!")
			}
			args = append(args, side.option, strings.Join(some.texts(":"), ","))
		}
	}
	return args
}

func (r Rule) iptablesTarget() []string {
	args := []string{"-j", "NFQUEUE", "--queue-num", r.queues("")}
	if r.Queues > 1 {
		args = []string{"-j", "NFQUEUE", "--queue-balance", r.queues(":")}
	}
	if r.Fanout {
		args = append(args, "--queue-cpu-fanout")
	}
	if !r.NoBypass {
		args = append(args, "--queue-bypass")
	}
	return args
}

// iptablesAddresses matches a prefix or several, or excludes each, for which there is only one
// option without a module. iptables refuses that option if there are several of the other address.
func (r Rule) iptablesAddresses(m Match, all []netip.Prefix, option, ranges string) []string {
	switch {
	case !restricts(all):
		return nil
	case !r.not(m):
		return []string{option, strings.Join(addresses(all), ",")}
	case len(r.Src) <= 1 && len(r.Dst) <= 1:
		return []string{"!", option, addresses(all)[0]}
	}
	var args []string
	for _, p := range all {
		args = append(args, "-m", "iprange", "!", ranges,
			p.Addr().String()+"-"+lastAddress(p).String())
	}
	return args
}

func iptablesCounted(mode string, limit uint64) []string {
	return []string{"-m", "connbytes", "--connbytes", fmt.Sprintf("0:%d", limit),
		"--connbytes-dir", "both", "--connbytes-mode", mode}
}

// iptablesSteps returns the matches and targets of the rules that carry out decisions.
func (o Offload) iptablesSteps(f nfqueue.Family) [][]string {
	var all [][]string
	saved := false
	for _, s := range o.steps() {
		if s.do == save {
			if !saved { // one rule saves them all
				mask := fmt.Sprintf("%#x", o.Mask)
				all = append(all, []string{"-m", "mark", "!", "--mark", markText(0, o.Mask),
					"-j", "CONNMARK", "--save-mark", "--nfmask", mask, "--ctmask", mask})
			}
			saved = true
			continue
		}
		if args := o.iptablesStep(s, f); args != nil {
			all = append(all, args)
		}
	}
	return all
}

// iptablesStep returns nil for a step that is not for packets of the family.
func (o Offload) iptablesStep(s step, f nfqueue.Family) []string {
	if s.do == undecide {
		return []string{"-p", "tcp", "--syn",
			"-m", "conntrack", "--ctstate", "NEW,ESTABLISHED", "--ctstatus", "CONFIRMED",
			"-m", "mark", "--mark", markText(0, o.Mask),
			"-j", "CONNMARK", "--set-xmark", markText(0, o.Mask)}
	}
	match := "connmark"
	if s.repeated {
		match = "mark"
	}
	args := []string{"-m", match, "--mark", markText(o.bits(s.on), o.Mask)}
	switch {
	case s.do == pass: // the mark stays anyway
		return nil
	case s.only == unmarked:
		args = append(args, "-m", "mark", "--mark", markText(0, o.Mask))
	case s.only == tcpSegments:
		args = append(args, "-p", "tcp")
	case s.only == tcpResets:
		args = append(args, "-p", "tcp", "-m", "tcp", "--tcp-flags", "RST", "RST")
	case s.only == icmpErrors && f == nfqueue.FamilyIPv4:
		args = append(args, "-p", "icmp", "-m", "conntrack", "--ctstate", "RELATED")
	case s.only == icmpv6Errors && f == nfqueue.FamilyIPv6:
		args = append(args, "-p", "ipv6-icmp", "-m", "conntrack", "--ctstate", "RELATED")
	case s.only != allPackets:
		return nil
	}
	how := "icmp-port-unreachable"
	if f == nfqueue.FamilyIPv6 {
		how = "icmp6-port-unreachable"
	}
	return append(args, [...][]string{
		accept: {"-j", "ACCEPT"}, drop: {"-j", "DROP"},
		reset:       {"-j", "REJECT", "--reject-with", "tcp-reset"},
		unreachable: {"-j", "REJECT", "--reject-with", how},
	}[s.do]...)
}
