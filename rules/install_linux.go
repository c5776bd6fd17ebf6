// SPDX-License-Identifier: GPL-2.0-or-later

package rules

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/chifflier/nfqueue-go/internal/kernel"
)

// tableOwner is NFT_TABLE_F_OWNER of linux/netfilter/nf_tables.h.
const tableOwner = 0x2

// install puts rules that are valid and in normal form into the kernel. What the kernel
// has it finds by trying.
func install(cfg Config, rules []Rule) (*Set, error) {
	t := &tables{name: tableName(), chains: chainsOf(rules)}
	for _, r := range rules {
		if f := r.protocolFamily(); !slices.Contains(t.families, f) {
			t.families = append(t.families, f)
		}
	}
	var err error
	if t.socket, err = dial(cfg.NetNS); err != nil {
		return nil, err
	}
	owned, err := t.add(rules)
	if err != nil {
		return nil, errors.Join(err, t.socket.close())
	}
	return &Set{name: t.name, tables: t, owned: owned}, nil
}

// tableName returns a name that nobody else has.
func tableName() string {
	var b [8]byte
	rand.Read(b[:])
	return fmt.Sprintf("nfqueue-%d-%s", os.Getpid(), hex.EncodeToString(b[:]))
}

// add makes the tables with all rules, as modern as the kernel allows.
func (t *tables) add(rules []Rule) (owned bool, err error) {
	flags, ways := uint32(tableOwner), []queueExpr{nativeQueue, xtQueue}
	for {
		b, err := t.transaction(flags, ways[0])
		if err != nil {
			return false, err
		}
		refused, err := t.socket.commit(b)
		if err != nil {
			return false, err
		}
		if len(refused) == 0 {
			return flags == tableOwner, nil
		}
		// What comes after the first error may only follow from it.
		first := refused[0]
		switch {
		case flags != 0 && b.about[first.message].kind == aboutTable && unknownFlag(first.errno):
			flags = 0
		case b.lacksQueue(first) && len(ways) > 1:
			ways = ways[1:]
		case b.lacksQueue(first):
			return false, noQueue(rules[b.about[first.message].rule])
		default:
			return false, explain(b, first)
		}
	}
}

// unknownFlag reports whether an error is how kernels refuse a table flag they do not
// know.
func unknownFlag(errno int32) bool { return errno == kernel.EINVAL || errno == kernel.EOPNOTSUPP }

// transaction makes tables, chains and rules.
func (t *tables) transaction(flags uint32, queue queueExpr) (*batch, error) {
	b := newBatch()
	for _, f := range t.families {
		b.addTable(f, t.name, flags)
	}
	for _, c := range t.chains {
		b.addChain(c.family, t.name, c.name, uint8(c.hook), c.priority)
		if err := b.addCarry(t.name, c); err != nil {
			return nil, err
		}
		if err := b.addQueue(t.name, c, queue); err != nil {
			return nil, err
		}
	}
	return b, nil
}

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
