// SPDX-License-Identifier: GPL-2.0-or-later

package probe

import (
	"encoding/binary"

	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
)

// nativeQueue is the expression of nf_tables for queue 0.
func nativeQueue() expr.Any { return &expr.Queue{Total: 1} }

// xtQueue is the target of xtables for queue 0, struct xt_NFQ_info_v3 padded as the kernel aligns
// it.
func xtQueue() expr.Any {
	info := make(xt.Unknown, 8)
	binary.NativeEndian.PutUint16(info[2:], 1) // number of queues
	return &expr.Target{Name: "NFQUEUE", Rev: 3, Info: &info}
}

// tryExpression reports whether the kernel accepts a rule with the expression.
func tryExpression(h *netlab.Host, queue func() expr.Any) bool {
	conn, err := nftables.New(nftables.WithNetNSFd(h.FD()))
	if err != nil {
		return false
	}
	table := conn.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: "probe"})
	chain := conn.AddChain(&nftables.Chain{Table: table, Name: "probe"})
	conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{queue()}})
	conn.DelTable(table)
	return conn.Flush() == nil
}
