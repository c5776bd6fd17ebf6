// SPDX-License-Identifier: GPL-2.0-or-later

package netlab

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
	"golang.org/x/sys/unix"
)

// Queue says where ToQueue queues packets.
type Queue struct {
	Num    uint16 // first queue
	Total  uint16 // number of consecutive queues to spread packets over; 0 is 1
	Bypass bool   // packets pass when nobody has bound the queue, instead of being dropped
	Fanout bool   // choose among the queues by CPU instead of by addresses; needs Total above 1
}

// queueExpr makes the expression that queues, in one of the forms that kernels have.
type queueExpr func(Queue) expr.Any

// ToQueue queues the packet for userspace (NFQUEUE). It uses the nf_tables expression, or the xt
// target if the kernel lacks that; the target does not work in the bridge family. If the kernel has
// neither, the error of Chain.AddRule matches errors.ErrUnsupported.
func ToQueue(q Queue) Expr {
	return func(h *Host) ([]expr.Any, error) {
		way, err := h.queue()
		if err != nil {
			return nil, err
		}
		q.Total = max(q.Total, 1)
		return []expr.Any{way(q)}, nil
	}
}

func nativeQueue(q Queue) expr.Any {
	var flags expr.QueueFlag
	if q.Bypass {
		flags |= expr.QueueFlagBypass
	}
	if q.Fanout {
		flags |= expr.QueueFlagFanout
	}
	return &expr.Queue{Num: q.Num, Total: q.Total, Flag: flags}
}

// xtQueue makes struct xt_NFQ_info_v3, in host byte order and padded as the kernel aligns it.
func xtQueue(q Queue) expr.Any {
	const bypass, fanout = 1, 2
	var flags uint16
	if q.Bypass {
		flags |= bypass
	}
	if q.Fanout {
		flags |= fanout
	}
	info := make(xt.Unknown, 8)
	binary.NativeEndian.PutUint16(info[0:], q.Num)
	binary.NativeEndian.PutUint16(info[2:], q.Total)
	binary.NativeEndian.PutUint16(info[4:], flags)
	return &expr.Target{Name: "NFQUEUE", Rev: 3, Info: &info}
}

// probeQueueExpr finds out by trying which form works. The transaction also removes what it makes.
func (h *Host) probeQueueExpr() (queueExpr, error) {
	var errs []error
	for _, way := range []queueExpr{nativeQueue, xtQueue} {
		err := h.commit(func(c *nftables.Conn) {
			table := c.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: "netlab-probe"})
			chain := c.AddChain(&nftables.Chain{Table: table, Name: "probe"})
			c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{way(Queue{Total: 1})}})
			c.DelTable(table)
		})
		if err == nil {
			return way, nil
		}
		if !errors.Is(err, unix.ENOENT) && !errors.Is(err, errors.ErrUnsupported) {
			return nil, fmt.Errorf("netlab: try a queue rule: %w", err)
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf(
		"netlab: no queue rules: load nft_queue, or nft_compat and xt_NFQUEUE (%w): %w",
		errors.ErrUnsupported, errors.Join(errs...),
	)
}
