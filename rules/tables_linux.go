// SPDX-License-Identifier: GPL-2.0-or-later

package rules

import (
	"errors"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/kernel"
	"golang.org/x/sys/unix"
)

// tables are the tables of a Set: one of the family inet, one for bridges, or both.
type tables struct {
	socket   *socket
	name     string
	families []uint8 // NFPROTO_*
	chains   []*chain
}

// stopQueueing deletes the rules that queue, and keeps those that carry out decisions of the
// handler, for the packets that wait: the rules are deleted and made again in one transaction.
func (t *tables) stopQueueing() error {
	return t.each(func(b *batch, family uint8, table string) error {
		b.deleteRules(family, table)
		for _, c := range t.chains {
			if c.family != family {
				continue
			}
			if err := b.addCarry(table, c); err != nil {
				return err
			}
		}
		return nil
	})
}

// remove deletes the tables and closes the socket, which deletes them too if it owns
// them.
func (t *tables) remove() error {
	return errors.Join(t.each(func(b *batch, family uint8, table string) error {
		b.deleteTable(family, table)
		return nil
	}), t.socket.close())
}

// each does something to every table that is still there: one without an owner is
// anybody's to delete.
func (t *tables) each(do func(b *batch, family uint8, table string) error) error {
	var errs []error
	for _, f := range t.families {
		b := newBatch()
		if err := do(b, f, t.name); err != nil {
			return err
		}
		refused, err := t.socket.commit(b)
		errs = append(errs, err)
		for _, r := range refused {
			if r.errno != kernel.ENOENT {
				errs = append(errs, explain(b, r))
			}
		}
	}
	return errors.Join(errs...)
}

// protocolFamily returns the family of the rule's table for nf_tables. IPv4 and IPv6
// share one, so that the order of rules holds for both.
func (r Rule) protocolFamily() uint8 {
	if r.Family == nfqueue.FamilyBridge {
		return unix.NFPROTO_BRIDGE
	}
	return unix.NFPROTO_INET
}
