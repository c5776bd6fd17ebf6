// SPDX-License-Identifier: GPL-2.0-or-later

package rules

import (
	"fmt"
	"slices"

	"github.com/chifflier/nfqueue-go"
	"github.com/google/nftables/expr"
)

// chain is a base chain of a Set.
type chain struct {
	family   uint8 // NFPROTO_*, of its table
	name     string
	hook     nfqueue.Hook
	priority int32
	carry    []carried // come first and stay until the chain goes
	queue    []numbered
}

// carried are steps of an Offload.
type carried struct {
	offload Offload
	steps   []step
	index   int // of a Rule that wants it
}

// numbered is a single and the index of the Rule that it is from.
type numbered struct {
	single
	index int
	group group // of the Cgroup
	syn   bool  // an invalid one is dropped, see Rule.invalidSYNs
}

// chainsOf sorts rules, which are valid and in normal form, into chains.
func chainsOf(rules []Rule) ([]*chain, error) {
	var chains []*chain
	get := func(r Rule, name string, priority int32) *chain {
		family := r.protocolFamily()
		for _, c := range chains {
			if c.family == family && c.name == name {
				return c
			}
		}
		c := &chain{family: family, name: name, hook: r.Hook, priority: priority}
		chains = append(chains, c)
		return c
	}
	for i, r := range rules {
		c := get(r, r.chain(), r.Priority)
		g, err := findGroup(r.Cgroup)
		if err != nil {
			return nil, fmt.Errorf("rule %d: %w", i+1, err)
		}
		if syn, ok := r.invalidSYNs(); ok {
			for _, one := range syn.singles() {
				c.queue = append(c.queue, numbered{one, i, g, true})
			}
		}
		for _, one := range r.singles() {
			c.queue = append(c.queue, numbered{one, i, g, false})
		}
		if r.Offload != (Offload{}) {
			c.carryOut(r.Offload, r.Offload.steps(), i)
			behind := get(r, r.chainBehind(), r.Priority+1)
			behind.carryOut(r.Offload, r.Offload.stepsBehind(), i)
		}
	}
	return chains, nil
}

// carryOut adds steps, once for each Offload.
func (c *chain) carryOut(o Offload, steps []step, index int) {
	if !slices.ContainsFunc(c.carry, func(has carried) bool { return has.offload == o }) {
		c.carry = append(c.carry, carried{o, steps, index})
	}
}

// tracks reports whether a rule of the chain uses conntrack.
func (c *chain) tracks() bool {
	return len(c.carry) > 0 || slices.ContainsFunc(c.queue,
		func(r numbered) bool { return r.tracks() })
}

// addTracking adds a rule that uses conntrack to a chain that no packet passes.
func (b *batch) addTracking(table string, c *chain) error {
	index := 0
	if len(c.queue) > 0 {
		index = c.queue[0].index
	}
	var m matcher
	m.ctState(CTNew, expr.CmpOpEq)
	b.addRegularChain(c.family, table, trackingChain)
	return b.addRule(c.family, table, trackingChain, index, m.parts)
}

// addCarry adds the rules that carry out decisions.
func (b *batch) addCarry(table string, c *chain) error {
	for _, a := range c.carry {
		for _, s := range a.steps {
			if err := b.addRule(c.family, table, c.name, a.index, a.offload.parts(s)); err != nil {
				return err
			}
		}
	}
	return nil
}

// addQueue adds the rules that queue, and those before them that drop a SYN.
func (b *batch) addQueue(table string, c *chain, queue queueExpr) error {
	for i, r := range c.queue {
		parts := r.matches()
		end := part{what: queuePart, expr: queue(r.Rule)}
		others := fmt.Sprintf("not-cgroup-%d", r.index)
		if r.syn {
			m := matcher{parts: parts}
			m.opens()
			parts = m.parts
			end = part{what: "verdict", expr: &expr.Verdict{Kind: expr.VerdictDrop}}
			others += "-syn"
		}
		if r.not(MatchCgroup) {
			if i == 0 || c.queue[i-1].index != r.index || c.queue[i-1].syn != r.syn { // the first one
				if err := b.addOthers(table, others, c.family, r, end); err != nil {
					return err
				}
			}
			end = part{what: cgroupPart, expr: &expr.Verdict{Kind: expr.VerdictJump, Chain: others}}
		}
		if err := b.addRule(c.family, table, c.name, r.index, append(parts, end)); err != nil {
			return err
		}
	}
	return nil
}

// addOthers makes a chain that does something with what is not of a control group. One rule cannot:
// a socket in a group above the level of the other one has nothing that could be compared.
func (b *batch) addOthers(table, name string, family uint8, r numbered, end part) error {
	b.addRegularChain(family, table, name)
	var m matcher
	m.cgroup(r.group)
	m.add(cgroupPart, &expr.Verdict{Kind: expr.VerdictReturn})
	if err := b.addRule(family, table, name, r.index, m.parts); err != nil {
		return err
	}
	return b.addRule(family, table, name, r.index, []part{end})
}
