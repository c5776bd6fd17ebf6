// SPDX-License-Identifier: GPL-2.0-or-later

package rules

import (
	"slices"

	"github.com/chifflier/nfqueue-go"
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
}

// chainsOf sorts rules, which are valid and in normal form, into chains.
func chainsOf(rules []Rule) []*chain {
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
		for _, one := range r.singles() {
			c.queue = append(c.queue, numbered{one, i})
		}
		if r.Offload != (Offload{}) {
			c.carryOut(r.Offload, r.Offload.steps(), i)
			behind := get(r, r.chainBehind(), r.Priority+1)
			behind.carryOut(r.Offload, r.Offload.stepsBehind(), i)
		}
	}
	return chains
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
	m.ctState(CTNew)
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

// addQueue adds the rules that queue.
func (b *batch) addQueue(table string, c *chain, queue queueExpr) error {
	for _, r := range c.queue {
		parts := append(r.matches(), part{queuePart, queue(r.Rule)})
		if err := b.addRule(c.family, table, c.name, r.index, parts); err != nil {
			return err
		}
	}
	return nil
}
