// SPDX-License-Identifier: GPL-2.0-or-later

package netlab

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"sync/atomic"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// Rule is a rule in a chain.
type Rule struct {
	chain *Chain
	nft   *nftables.Rule
}

// ruleTags numbers the rules of this process. The tag is stored with the rule in the kernel and
// finds it again.
var ruleTags atomic.Uint64

// AddRule appends a rule. Its expressions are evaluated in order; the first match that fails ends
// the rule.
func (c *Chain) AddRule(exprs ...Expr) (*Rule, error) {
	r := &Rule{chain: c, nft: &nftables.Rule{
		Table:    c.nft.Table,
		Chain:    c.nft,
		UserData: binary.BigEndian.AppendUint64(nil, ruleTags.Add(1)),
	}}
	for _, e := range exprs {
		nft, err := e(c.table.host)
		if err != nil {
			return nil, err
		}
		r.nft.Exprs = append(r.nft.Exprs, nft...)
	}
	if err := c.table.host.commit(func(conn *nftables.Conn) { conn.AddRule(r.nft) }); err != nil {
		return nil, fmt.Errorf("netlab: rule in chain %s: %w", c.nft.Name, err)
	}
	return r, nil
}

// Count returns the packets and bytes that the rule's Counter has counted.
func (r *Rule) Count() (packets, bytes uint64, err error) {
	nft, err := r.find()
	if err != nil {
		return 0, 0, err
	}
	for _, e := range nft.Exprs {
		if c, ok := e.(*expr.Counter); ok {
			return c.Packets, c.Bytes, nil
		}
	}
	return 0, 0, fmt.Errorf("netlab: the rule in chain %s has no Counter", r.chain.nft.Name)
}

// Delete removes the rule. Packets that it has queued stay queued.
func (r *Rule) Delete() error {
	nft, err := r.find()
	if err != nil {
		return err
	}
	var delErr error
	err = r.chain.table.host.commit(func(conn *nftables.Conn) {
		delErr = conn.DelRule(&nftables.Rule{Table: r.nft.Table, Chain: r.nft.Chain, Handle: nft.Handle})
	})
	if err == nil {
		err = delErr
	}
	if err != nil {
		return fmt.Errorf("netlab: delete a rule in chain %s: %w", r.chain.nft.Name, err)
	}
	return nil
}

// find reads the rule back from the kernel.
func (r *Rule) find() (*nftables.Rule, error) {
	conn, err := r.chain.table.host.nftables()
	if err != nil {
		return nil, err
	}
	rules, err := conn.GetRules(r.nft.Table, r.nft.Chain)
	if err != nil {
		return nil, fmt.Errorf("netlab: rules of chain %s: %w", r.chain.nft.Name, err)
	}
	for _, candidate := range rules {
		if bytes.Equal(candidate.UserData, r.nft.UserData) {
			return candidate, nil
		}
	}
	return nil, fmt.Errorf("netlab: the rule is no longer in chain %s", r.chain.nft.Name)
}
