// SPDX-License-Identifier: GPL-2.0-or-later

package rules

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/kernel"
	"golang.org/x/sys/unix"
)

// explain says what the kernel has refused and what to do.
func explain(b *batch, r reply) error {
	s, err := b.about[r.message], r.err()
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("nf_tables needs CAP_NET_ADMIN in the user namespace that owns the "+
			"network namespace; run as root, or in a user namespace: %w", err)
	}
	switch s.kind {
	case aboutTable:
		if r.errno == int32(unix.EAFNOSUPPORT) {
			return fmt.Errorf("nf_tables does not have the family of a rule; load or build in "+
				"its support (%w): %w", errors.ErrUnsupported, err)
		}
		return fmt.Errorf("table: %w", err)
	case aboutChain:
		return fmt.Errorf("chain: %w", err)
	case aboutSet:
		return fmt.Errorf("set of ports or addresses: %w", err)
	case aboutRule:
		return explainRule(s.rule, b.refusedPart(r), r)
	}
	if r.errno == kernel.EOPNOTSUPP || r.errno == kernel.EINVAL {
		return fmt.Errorf("the kernel has no nf_tables; load it, or build it in "+
			"(CONFIG_NF_TABLES) (%w): %w", errors.ErrUnsupported, err)
	}
	return fmt.Errorf("nf_tables transaction: %w", err)
}

func explainRule(index int, what string, r reply) error {
	if what == "" {
		return fmt.Errorf("rule %d: %w", index+1, r.err())
	}
	if r.errno == int32(unix.EPROTO) {
		return fmt.Errorf("rule %d: the kernel cannot track the connections; load nf_conntrack, "+
			"for a bridge nf_conntrack_bridge (%w): %w", index+1, errors.ErrUnsupported, r.err())
	}
	if what == cgroupPart && r.errno == kernel.EOPNOTSUPP {
		return fmt.Errorf("rule %d: nf_tables matches no control groups before Linux 5.13 (%w): %w",
			index+1, errors.ErrUnsupported, r.err())
	}
	if r.errno == kernel.ENOENT {
		return fmt.Errorf("rule %d: %s: the kernel has no such expression; load the module of "+
			"nf_tables that has it (%w): %w", index+1, what, errors.ErrUnsupported, r.err())
	}
	return fmt.Errorf("rule %d: %s: %w", index+1, what, r.err())
}

// noQueue is the error when the kernel has no way to queue for rules. If there is one for a bridge,
// the way that others have was not tried.
func noQueue(rules []Rule) error {
	for _, r := range rules {
		if r.Family == nfqueue.FamilyBridge {
			return fmt.Errorf("the kernel has no way to queue the packets of rule %q: load "+
				"nft_queue, or build it in (CONFIG_NFT_QUEUE); "+
				"the xt target NFQUEUE is not for bridges: %w", r, errors.ErrUnsupported)
		}
	}
	return fmt.Errorf("the kernel has no way to queue the packets of rule %q: load nft_queue, "+
		"or nft_compat and xt_NFQUEUE, or build them in: %w", rules[0], errors.ErrUnsupported)
}
