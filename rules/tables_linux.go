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
}

// flush deletes the rules.
func (t *tables) flush() error {
	return t.each((*batch).deleteRules)
}

// remove deletes the tables and closes the socket, which deletes them too if it owns
// them.
func (t *tables) remove() error {
	return errors.Join(t.each((*batch).deleteTable), t.socket.close())
}

// each does something to every table that is still there: one without an owner is
// anybody's to delete.
func (t *tables) each(do func(b *batch, family uint8, table string)) error {
	var errs []error
	for _, f := range t.families {
		b := newBatch()
		do(b, f, t.name)
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
