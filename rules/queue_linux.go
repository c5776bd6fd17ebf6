// SPDX-License-Identifier: GPL-2.0-or-later

package rules

import (
	"encoding/binary"

	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
)

// queueExpr makes the expression that queues, in one of the ways that kernels have.
type queueExpr func(Rule) expr.Any

// queuePart is what the expression is for.
const queuePart = "queue"

// nativeQueue needs CONFIG_NFT_QUEUE.
func nativeQueue(r Rule) expr.Any {
	var flags expr.QueueFlag
	if !r.NoBypass {
		flags |= expr.QueueFlagBypass
	}
	if r.Fanout {
		flags |= expr.QueueFlagFanout
	}
	return &expr.Queue{Num: r.Queue, Total: r.Queues, Flag: flags}
}

// xtQueue needs CONFIG_NFT_COMPAT and CONFIG_NETFILTER_XT_TARGET_NFQUEUE, and works in
// all families but bridge. Its data are struct xt_NFQ_info_v3 in host byte order, padded
// as the kernel aligns it.
func xtQueue(r Rule) expr.Any {
	const bypass, fanout = 1, 2 // NFQ_FLAG_*
	var flags uint16
	if !r.NoBypass {
		flags |= bypass
	}
	if r.Fanout {
		flags |= fanout
	}
	info := make(xt.Unknown, 8)
	binary.NativeEndian.PutUint16(info[0:], r.Queue)
	binary.NativeEndian.PutUint16(info[2:], r.Queues)
	binary.NativeEndian.PutUint16(info[4:], flags)
	return &expr.Target{Name: "NFQUEUE", Rev: 3, Info: &info}
}
