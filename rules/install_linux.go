// SPDX-License-Identifier: GPL-2.0-or-later

package rules

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/chifflier/nfqueue-go/internal/kernel"
	"golang.org/x/sys/unix"
)

// tableOwner is NFT_TABLE_F_OWNER of linux/netfilter/nf_tables.h.
const tableOwner = 0x2

// install puts rules that are valid and in normal form into the kernel.
func install(cfg Config, rules []Rule) (*Set, error) {
	socket, err := dial(cfg.NetNS)
	if err != nil {
		return nil, err
	}
	t, err := newTables(socket, cfg, rules)
	if err != nil {
		return nil, errors.Join(err, socket.close())
	}
	owned, err := t.add(rules)
	if err != nil {
		// No hook is registered yet, so this costs nobody a packet.
		return nil, errors.Join(err, t.remove((*batch).deleteTable), t.release())
	}
	return &Set{name: t.name, tables: t, owned: owned}, nil
}

// takeOver replaces the rules in the tables that the socket in f owns.
func takeOver(f *os.File, cfg Config, rules []Rule) (*Set, error) {
	socket, err := adopt(f)
	if err != nil {
		return nil, err
	}
	t, err := newTables(socket, cfg, rules)
	if err != nil {
		return nil, errors.Join(err, socket.close())
	}
	if err := t.replace(rules); err != nil {
		return nil, errors.Join(err, t.release())
	}
	return &Set{name: t.name, tables: t, owned: true}, nil
}

// newTables describes the tables for rules. The name is of the port id, which nobody else has
// meanwhile, and from which a process that takes over the socket knows it.
func newTables(s *socket, cfg Config, rules []Rule) (*tables, error) {
	id, err := s.portID()
	if err != nil {
		return nil, err
	}
	chains, err := chainsOf(rules)
	if err != nil {
		return nil, err
	}
	t := &tables{
		socket: s, name: fmt.Sprintf("nfqueue-%d", id),
		chains: chains, neighbours: openNeighbours(cfg),
	}
	for _, r := range rules {
		if f := r.protocolFamily(); !slices.Contains(t.families, f) {
			t.families = append(t.families, f)
		}
	}
	return t, nil
}

// add makes the tables with all rules, in steps. Whatever the kernel may refuse is tried in a
// chain without a hook. A refused transaction with a base chain would unregister its
// hook again, which drops the packets that wait in all queues of the network namespace.
func (t *tables) add(rules []Rule) (owned bool, err error) {
	owned, queue, err := t.probe(rules)
	if err != nil {
		return false, err
	}
	if err := t.do(t.try, queue); err != nil {
		return false, err
	}
	t.neighbours.await(startTimeout, queuedAgain, false, t.socket.barrier)
	defer t.neighbours.tell()
	defer t.neighbours.endTurn()
	return owned, t.do(t.hook, queue)
}

// replace puts rules in the place of those in tables that exist. Chains that both have stay
// registered, and chains that are no longer needed stay empty.
func (t *tables) replace(rules []Rule) error {
	_, queue, err := t.probe(rules)
	if err != nil {
		return err
	}
	if err := t.do(t.try, queue); err != nil {
		return err
	}
	if err := t.do(t.hook, queue); err != nil {
		return err
	}
	for _, f := range []uint8{unix.NFPROTO_INET, unix.NFPROTO_BRIDGE} {
		if slices.Contains(t.families, f) {
			continue
		}
		b := newBatch()
		b.deleteRules(f, t.name, "")
		if _, err := t.socket.commit(b); err != nil { // refused if there is no such table
			return err
		}
	}
	return nil
}

// do commits a transaction.
func (t *tables) do(step func(*batch, queueExpr) error, queue queueExpr) error {
	b := newBatch()
	if err := step(b, queue); err != nil {
		return err
	}
	refused, err := t.socket.commit(b)
	if err == nil && len(refused) > 0 {
		err = explain(b, refused[0]) // what comes later may only follow from it
	}
	return err
}

// trialChain and trackingChain are regular chains, which packets never pass. The first is for
// what the kernel may refuse. A rule in the second uses conntrack until the table
// goes: when the last use of conntrack ends, its hooks are unregistered.
const (
	trialChain    = "trial"
	trackingChain = "conntrack"
)

// probe makes the tables, and finds out by trying whether they can have an owner and which
// expression queues.
func (t *tables) probe(rules []Rule) (owned bool, queue queueExpr, err error) {
	flags, ways := uint32(tableOwner), []queueExpr{nativeQueue, xtQueue}
	for {
		b := newBatch()
		for _, f := range t.families {
			b.addTable(f, t.name, flags)
			b.addRegularChain(f, t.name, trialChain)
			i := slices.IndexFunc(rules, func(r Rule) bool { return r.protocolFamily() == f })
			parts := []part{{what: queuePart, expr: ways[0](rules[i])}}
			if err := b.addRule(f, t.name, trialChain, i, parts); err != nil {
				return false, nil, err
			}
		}
		refused, err := t.socket.commit(b)
		if err != nil {
			return false, nil, err
		}
		if len(refused) == 0 {
			return flags == tableOwner, ways[0], nil
		}
		first := refused[0]
		switch {
		case flags != 0 && b.about[first.message].kind == aboutTable && unknownFlag(first.errno):
			flags = 0
			t.name += "-" + rand.Text() // such a table may be left from an earlier process
		case b.lacksQueue(first) && len(ways) > 1 &&
			!slices.Contains(t.families, unix.NFPROTO_BRIDGE):
			ways = ways[1:] // which is not for bridges, though regular chains take it
		case b.lacksQueue(first):
			return false, nil, noQueue(rules)
		default:
			return false, nil, explain(b, first)
		}
	}
}

// try adds all rules to the trial chains.
func (t *tables) try(b *batch, queue queueExpr) error {
	for _, c := range t.chains {
		trial := *c
		trial.name = trialChain
		err := errors.Join(b.addCarry(t.name, &trial), b.addQueue(t.name, &trial, queue))
		if err != nil {
			return err
		}
	}
	return nil
}

// hook replaces all rules, also those of the trial chains, by those of the base chains.
func (t *tables) hook(b *batch, queue queueExpr) error {
	for _, f := range t.families {
		b.deleteRules(f, t.name, "")
		b.deleteChain(f, t.name, trialChain)
	}
	for _, c := range t.chains {
		if c.tracks() {
			if err := b.addTracking(t.name, c); err != nil {
				return err
			}
		}
		b.addChain(c.family, t.name, c.name, uint8(c.hook), c.priority)
		if err := errors.Join(b.addCarry(t.name, c), b.addQueue(t.name, c, queue)); err != nil {
			return err
		}
	}
	return nil
}

// unknownFlag reports whether an error is how kernels refuse a table flag they do not
// know.
func unknownFlag(errno int32) bool { return errno == kernel.EINVAL || errno == kernel.EOPNOTSUPP }

// refusedPart returns which part of a rule the kernel refuses, empty if it does not
// tell.
func (b *batch) refusedPart(r reply) string {
	for _, p := range b.about[r.message].parts {
		if p.offset == r.offset {
			return p.what
		}
	}
	return ""
}

// lacksQueue reports whether the kernel may refuse a rule since it does not have the
// expression that queues. Old kernels do not tell which expression it is.
func (b *batch) lacksQueue(r reply) bool {
	missing := r.errno == kernel.ENOENT || r.errno == kernel.EOPNOTSUPP
	what := b.refusedPart(r)
	return b.about[r.message].kind == aboutRule && missing && (what == queuePart || what == "")
}
