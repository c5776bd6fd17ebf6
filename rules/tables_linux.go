// SPDX-License-Identifier: GPL-2.0-or-later

package rules

import (
	"errors"
	"os"
	"slices"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/kernel"
	"golang.org/x/sys/unix"
)

// tables are the tables of a Set: one of the family inet, one for bridges, or both.
type tables struct {
	socket     *socket
	name       string
	families   []uint8 // NFPROTO_*
	chains     []*chain
	neighbours *neighbours
}

// stopQueueing deletes the rules that queue, and keeps those that carry out decisions of the
// handler, for the packets that wait. In each chain the rules are deleted and made again in one
// transaction.
func (t *tables) stopQueueing() error {
	return t.each(func(b *batch, family uint8) error {
		for _, c := range t.chains {
			if c.family != family {
				continue
			}
			b.deleteRules(family, t.name, c.name)
			if err := b.addCarry(t.name, c); err != nil {
				return err
			}
		}
		return nil
	})
}

// close removes the rules, waits until no queue has packets waiting, and removes the chains.
// Then it closes the socket, which removes what is left if the tables are owned.
func (t *tables) close() error {
	errs := []error{t.stopQueueing()}
	tracks := slices.ContainsFunc(t.chains, (*chain).tracks)
	if tracks {
		// The hooks of conntrack may go with the last rule that uses it, some time after the table.
		errs = append(errs, t.removeQuietly(t.deleteChains))
	}
	errs = append(errs, t.removeQuietly((*batch).deleteTable))
	t.neighbours.sparePause()
	return errors.Join(append(errs, t.release())...)
}

// release closes what this process has of the tables.
func (t *tables) release() error {
	t.neighbours.close()
	return t.socket.close()
}

// tell gives the warnings of close to the Logger.
func (t *tables) tell() { t.neighbours.tell() }

func (t *tables) file() (*os.File, error) { return t.socket.file() }

// deleteChains deletes the base chains of a table.
func (t *tables) deleteChains(b *batch, family uint8, table string) {
	for _, c := range t.chains {
		if c.family == family {
			b.deleteChain(family, table, c.name)
		}
	}
}

// remove deletes something of each table.
func (t *tables) remove(what func(b *batch, family uint8, table string)) error {
	return t.each(func(b *batch, family uint8) error {
		what(b, family, t.name)
		return nil
	})
}

// removeQuietly is remove at a moment at which no packet waits in a queue. All is ready then, since
// the next packet may come at once.
func (t *tables) removeQuietly(what func(b *batch, family uint8, table string)) error {
	defer t.neighbours.endTurn()
	return t.commit(func(b *batch, family uint8) error {
		what(b, family, t.name)
		return nil
	}, func() { t.neighbours.await(QuietTimeout, dropped, true, t.socket.barrier) })
}

// each does something to every table that is still there: one without an owner is
// anybody's to delete.
func (t *tables) each(do func(b *batch, family uint8) error) error {
	return t.commit(do, func() {})
}

// commit is each that waits before it does anything.
func (t *tables) commit(do func(b *batch, family uint8) error, wait func()) error {
	var batches []*batch
	for _, f := range t.families {
		b := newBatch()
		if err := do(b, f); err != nil {
			return err
		}
		batches = append(batches, b)
	}
	wait()
	var errs []error
	for _, b := range batches {
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
