// SPDX-License-Identifier: GPL-2.0-or-later

package demo

import "github.com/chifflier/nfqueue-go/internal/netlab"

const queueNumber = 1

// behind has the rules that look at marks, by the flow that is marked.
type behind map[key]*netlab.Rule

// addRules makes the router queue all that it forwards, and look at the marks afterwards.
func addRules(router *netlab.Host) (behind, error) {
	rules := behind{}
	for _, family := range families {
		table, err := router.AddTable(netlab.Family(family), "nfq-demo") // both are NFPROTO_*
		if err != nil {
			return nil, err
		}
		// Accept goes on behind the chain that queued the packet, so the marks need one of their own.
		queue, err := table.AddChain("queue", netlab.Forward, 0, netlab.PolicyAccept)
		if err != nil {
			return nil, err
		}
		marks, err := table.AddChain("marks", netlab.Forward, 1, netlab.PolicyAccept)
		if err != nil {
			return nil, err
		}
		if _, err := queue.AddRule(netlab.ToQueue(netlab.Queue{Num: queueNumber})); err != nil {
			return nil, err
		}
		if rules[key{family, udpCounted}], err = marks.AddRule(netlab.Mark(markCounted), netlab.Counter()); err != nil {
			return nil, err
		}
		rules[key{family, udpFiltered}], err = marks.AddRule(netlab.Mark(markFiltered), netlab.Counter(), netlab.Drop())
		if err != nil {
			return nil, err
		}
	}
	return rules, nil
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
