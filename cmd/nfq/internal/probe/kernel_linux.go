// SPDX-License-Identifier: GPL-2.0-or-later

package probe

import (
	"errors"
	"strings"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/rules"
)

// Kernel checks what the kernel can do, in a network namespace of its own, so it touches no other
// packets. The caller must have called netlab.Enter.
func Kernel() (*Report, error) {
	h, err := netlab.New()
	if err != nil {
		return nil, err
	}
	defer func() { _ = h.Close() }()
	r := &Report{}
	if !r.module(h) {
		return r, nil
	}
	r.flags(h)
	r.queueRules(h)
	r.limits(h)
	return r, nil
}

// tryOpen opens a queue and closes it again.
func tryOpen(h *netlab.Host, flags nfqueue.Flags) error {
	q, err := nfqueue.Open(nfqueue.Config{NetNS: h.FD(), CopyMode: nfqueue.CopyMeta, Flags: flags})
	if err != nil {
		return err
	}
	return q.Close()
}

func (r *Report) module(h *netlab.Host) bool {
	const check = "nfnetlink_queue"
	err := tryOpen(h, nfqueue.NoGSO)
	switch {
	case err == nil:
		r.add(check, OK, "", "the kernel has nfnetlink_queue")
	case errors.Is(err, errors.ErrUnsupported):
		r.add(check, Problem,
			"modprobe nfnetlink_queue; a kernel without that module needs CONFIG_NETFILTER_NETLINK_QUEUE",
			"the kernel has no nfnetlink_queue")
	default:
		r.add(check, Problem, "", "a queue cannot be bound: %v", err)
	}
	return err == nil
}

// flagUses says what each flag of a queue is for, and what a kernel without it lacks.
var flagUses = []struct {
	flag     nfqueue.Flags
	name     string
	use, fix string
}{
	{
		nfqueue.FailOpen,
		"fail-open",
		"lets packets pass when a queue is full",
		"use Linux 3.6 or later",
	},
	{
		nfqueue.NoGSO,
		"gso",
		"queues packets without cutting them to the MTU",
		"use Linux 3.10 or later",
	},
	{nfqueue.UIDGID, "uid-gid", "tells the user who sends a packet", "use Linux 3.14 or later"},
	{
		nfqueue.SecCtx,
		"secctx",
		"tells the security context",
		"the kernel needs CONFIG_NETWORK_SECMARK",
	},
	{
		nfqueue.Conntrack,
		"conntrack",
		"tells and changes the connection tracking entry",
		"modprobe nf_conntrack_netlink; a kernel without that module needs CONFIG_NF_CT_NETLINK and CONFIG_NETFILTER_NETLINK_GLUE_CT",
	},
}

func (r *Report) flags(h *netlab.Host) {
	for _, f := range flagUses {
		check := "flag-" + f.name
		err := tryOpen(h, f.flag^nfqueue.NoGSO) // alone: a queue has GSO unless it is switched off
		switch {
		case err == nil:
			r.add(check, OK, "", "flag %s, which %s", f.name, f.use)
		case errors.Is(err, errors.ErrUnsupported):
			r.add(check, Info, f.fix, "no flag %s, which %s", f.name, f.use)
		default:
			r.add(check, Unknown, "", "flag %s: %v", f.name, err)
		}
	}
}

// queueRules tries which expressions can queue packets. Package rules uses either.
func (r *Report) queueRules(h *netlab.Host) {
	set, err := rules.Install(rules.Config{NetNS: h.FD()}, rules.Rule{Hook: nfqueue.HookOutput})
	switch {
	case err == nil:
		native, xt := tryExpression(h, nativeQueue), tryExpression(h, xtQueue)
		r.add("rules", OK, "", "nf_tables can queue packets: %s", ways(native, xt))
		if set.Owned() {
			r.add("rules-owned", OK, "", "rules of a program can vanish with it")
		} else {
			r.add("rules-owned", Info, "use Linux 5.12 or later",
				"rules of a program stay when it is killed")
		}
		err = set.Close()
		if err != nil {
			r.add("rules", Unknown, "", "rules cannot be removed: %v", err)
		}
	case errors.Is(err, errors.ErrUnsupported):
		r.add("rules", Problem,
			"modprobe nft_queue, or nft_compat and xt_NFQUEUE; or use the iptables-legacy commands",
			"nf_tables cannot queue packets: %v", err)
		return
	default:
		r.add("rules", Unknown, "", "a rule cannot be installed: %v", err)
		return
	}
	r.canQueue(
		h,
		"rules-bridge",
		"packets between the ports of a bridge",
		"modprobe nft_queue, or queue at forward, where br_netfilter shows these packets while the sysctl "+
			"net.bridge.bridge-nf-call-iptables is 1",
		rules.Rule{Family: nfqueue.FamilyBridge, Hook: nfqueue.HookForward, Priority: -200},
	)
	r.canQueue(h, "rules-conntrack", "packets by their connection tracking state",
		"modprobe nft_ct nf_conntrack", rules.Rule{Hook: nfqueue.HookOutput, CTState: rules.CTNew})
}

func (r *Report) canQueue(h *netlab.Host, check, what, fix string, rule rules.Rule) {
	set, err := rules.Install(rules.Config{NetNS: h.FD()}, rule)
	if err == nil {
		err = set.Close()
	}
	switch {
	case err == nil:
		r.add(check, OK, "", "rules can queue %s", what)
	case errors.Is(err, errors.ErrUnsupported):
		r.add(check, Info, fix, "rules cannot queue %s", what)
	default:
		r.add(check, Unknown, "", "rules for %s: %v", what, err)
	}
}

// ways names the expressions that work.
func ways(native, xt bool) string {
	var has []string
	if native {
		has = append(has, "with its own expression")
	}
	if xt {
		has = append(has, "with the xtables target NFQUEUE")
	}
	return strings.Join(has, ", and ")
}
