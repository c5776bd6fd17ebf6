// SPDX-License-Identifier: GPL-2.0-or-later

package demo

import (
	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/rules"
)

const queueNumber = 1

// behind has the rules that look at marks, by the flow that is marked.
type behind map[key]*netlab.Rule

// queueForwarded makes the router queue all that it forwards.
func queueForwarded(router *netlab.Host) (*rules.Set, error) {
	return rules.Install(rules.Config{NetNS: router.FD()},
		rules.Rule{Hook: nfqueue.HookForward, Queue: queueNumber, NoBypass: true})
}

// addMarkRules makes the router look at the marks of what has been queued.
func addMarkRules(router *netlab.Host) (behind, error) {
	found := behind{}
	for _, family := range families {
		table, err := router.AddTable(netlab.Family(family), "nfq-demo") // both are NFPROTO_*
		if err != nil {
			return nil, err
		}
		// Accept goes on behind the chain that queued the packet, whose priority is 0.
		marks, err := table.AddChain("marks", netlab.Forward, 1, netlab.PolicyAccept)
		if err != nil {
			return nil, err
		}
		if found[key{family, udpCounted}], err = marks.AddRule(netlab.Mark(markCounted),
			netlab.Counter()); err != nil {
			return nil, err
		}
		found[key{family, udpFiltered}], err = marks.AddRule(netlab.Mark(markFiltered), netlab.Counter(),
			netlab.Drop())
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// count reads the counters of the rules into the flows.
func (b behind) count(all flows) (err error) {
	for id, rule := range b {
		if all[id].matched, _, err = rule.Count(); err != nil {
			return err
		}
	}
	return nil
}
