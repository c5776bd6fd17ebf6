// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"github.com/chifflier/nfqueue-go/internal/lifecycle"
	"github.com/chifflier/nfqueue-go/internal/losslog"
	"github.com/chifflier/nfqueue-go/internal/nfqmsg"
)

// countArrivals counts a batch before dispatching it, so that a handler that never returns
// cannot hide packets. Ids that were left out are packets that did not fit into the receive
// buffer.
func (r *receiver) countArrivals() {
	var received, lost uint64
	alone := r.q.life.Sharing() == lifecycle.Unshared
	for i := r.cur; i < r.n; i++ {
		id, ok := nfqmsg.ArrivedID(r.slab.Slot(i)[:r.slab.Datagram(i).Len])
		if !ok {
			continue
		}
		received++
		if alone {
			lost += uint64(id - r.lastID - 1)
		}
		r.lastID = id
	}
	r.q.stats.lost.Add(lost)
	r.q.stats.received.Add(received)
}

// lossTotals is for the log of losses.
func (q *Queue) lossTotals() losslog.Totals {
	t := losslog.Totals{Buffer: q.stats.lost.Load(), Batches: q.stats.batches.Load()}
	if k, err := q.kernelQueue(); err == nil {
		// Only the ids tell of packets that FailOpen let pass.
		t.Buffer = max(t.Buffer, uint64(k.UserDropped))
		t.Queue, t.Waiting = uint64(k.QueueDropped), k.Backlog > 0
	}
	return t
}
