// SPDX-License-Identifier: GPL-2.0-or-later

package rules

import (
	"errors"
	"fmt"
	"net/netip"
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
// handler accepts one by one.
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
	for _, f := range []nfqueue.Family{nfqueue.FamilyIPv4, nfqueue.FamilyIPv6} {
		if n := r.network(); (n == 0 || n == f) && r.iptablesMatches(f) {
			for _, args := range append(r.Offload.iptablesSteps(f), r.iptablesArgs()) {
				args = append([]string{iptablesProgram(f), "-t", table, "-A",
					strings.ToUpper(r.Hook.String())}, args...)
				for i, a := range args {
					args[i] = word.Quote(a)
				}
				lines = append(lines, strings.Join(args, " "))
			}
		}
	}
	return lines, nil
}

// anyICMPType is how iptables says any type.
const anyICMPType = 255

// iptablesMatches reports whether the protocol can match in packets of a family: ip6tables looks
// behind extension headers, AH included.
func (r Rule) iptablesMatches(f nfqueue.Family) bool {
	return f != nfqueue.FamilyIPv6 || r.Protocol == 0 ||
		r.Protocol != nfqueue.AH && !isExtension(r.Protocol)
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

// iptablesLacks returns an error for what iptables has no option for.
func (r Rule) iptablesLacks() error {
	switch {
	case r.Family == nfqueue.FamilyBridge:
		return &FieldError{"Family", errors.New("iptables sees no bridged frames, and ebtables " +
			"cannot queue")}
	case r.Protocol == nfqueue.AH && r.network() == nfqueue.FamilyIPv6:
		return &FieldError{"Protocol", errors.New("ip6tables looks behind AH, so its -p never " +
			"matches it")}
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

// iptablesArgs returns the matches and the target.
func (r Rule) iptablesArgs() []string {
	var args []string
	optional := func(option, value string) {
		if value != "" {
			args = append(args, option, value)
		}
	}
	optional("-i", r.InDevName)
	optional("-o", r.OutDevName)
	optional("-s", iptablesAddress(r.Src))
	optional("-d", iptablesAddress(r.Dst))
	switch r.Protocol {
	case 0:
	case ICMPv6:
		optional("-p", "ipv6-icmp")
	default:
		optional("-p", protocolText(r.Protocol))
	}
	args = append(args, r.iptablesPorts()...)
	if r.ICMPType.set && r.Protocol == ICMP {
		args = append(args, "-m", "icmp", "--icmp-type", r.ICMPType.String())
	} else if r.ICMPType.set {
		args = append(args, "-m", "icmp6", "--icmpv6-type", r.ICMPType.String())
	}
	if r.UID.set || r.GID.set {
		args = append(args, "-m", "owner")
	}
	if r.UID.set {
		args = append(args, "--uid-owner", r.UID.String())
	}
	if r.GID.set {
		args = append(args, "--gid-owner", r.GID.String())
	}
	if r.MarkMask != 0 {
		args = append(args, "-m", "mark", "--mark", markText(r.Mark, r.MarkMask))
	}
	if r.CTState != 0 {
		args = append(args, "-m", "conntrack", "--ctstate", strings.ToUpper(r.CTState.String()))
	}
	if r.CTMarkMask != 0 {
		args = append(args, "-m", "connmark", "--mark", markText(r.CTMark, r.CTMarkMask))
	}
	if r.FirstPackets != 0 {
		args = append(args, iptablesCounted("packets", r.FirstPackets)...)
	}
	if r.FirstBytes != 0 {
		args = append(args, iptablesCounted("bytes", r.FirstBytes)...)
	}
	return append(args, r.iptablesTarget()...)
}

// iptablesPorts uses the multiport match where there is no single option for all
// protocols, or none at all.
func (r Rule) iptablesPorts() []string {
	var args []string
	match, options := "multiport", [...]string{"--sports", "--dports", "--ports"}
	if (r.Protocol == TCP || r.Protocol == UDP) && r.Port == (Ports{}) {
		match, options = protocolText(r.Protocol), [...]string{"--sport", "--dport", ""}
	}
	for i, p := range [...]Ports{r.SrcPort, r.DstPort, r.Port} {
		if p == (Ports{}) {
			continue
		}
		if args == nil || match == "multiport" {
			args = append(args, "-m", match)
		}
		args = append(args, options[i], p.join(":"))
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

// iptablesAddress keeps the length of a prefix of no bits, which matches everything.
func iptablesAddress(p netip.Prefix) string {
	if p.IsValid() && p.Bits() == 0 {
		return ""
	}
	return address(p)
}

func iptablesCounted(mode string, limit uint64) []string {
	return []string{"-m", "connbytes", "--connbytes", fmt.Sprintf("0:%d", limit),
		"--connbytes-dir", "both", "--connbytes-mode", mode}
}

// iptablesSteps returns the matches and targets of the rules that carry out decisions.
func (o Offload) iptablesSteps(f nfqueue.Family) [][]string {
	if o == (Offload{}) {
		return nil
	}
	var all [][]string
	saved := false
	for _, s := range o.steps() {
		if s.repeated && !saved {
			saved = true
			mask := fmt.Sprintf("%#x", o.Mask)
			all = append(all, []string{"-m", "mark", "!", "--mark", markText(0, o.Mask),
				"-j", "CONNMARK", "--save-mark", "--nfmask", mask, "--ctmask", mask})
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
		return []string{"-p", "tcp", "--syn", "-m", "conntrack", "--ctstate", "ESTABLISHED",
			"-m", "mark", "--mark", markText(0, o.Mask),
			"-j", "CONNMARK", "--set-xmark", markText(0, o.Mask)}
	}
	match := "connmark"
	if s.repeated {
		match = "mark"
	}
	args := []string{"-m", match, "--mark", markText(o.bits(s.on), o.Mask)}
	switch {
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
