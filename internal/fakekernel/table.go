// SPDX-License-Identifier: GPL-2.0-or-later

package fakekernel

import (
	"fmt"
	"maps"
	"net"
	"slices"
)

// ProcTable implements transport.Conn.
func (c *Conn) ProcTable() ([]byte, error) {
	c.kernel.mu.Lock()
	defer c.kernel.mu.Unlock()
	if c.closed {
		return nil, net.ErrClosed
	}
	return c.kernel.table(), nil
}

// Table returns /proc/net/netfilter/nfnetlink_queue: queue number, port id of the
// owner, packets that wait, copy mode, copy range, packets dropped because the queue
// and because the receive buffer was full, last id, and 1.
func (k *Kernel) Table() []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.table()
}

func (k *Kernel) table() (b []byte) {
	for _, number := range slices.Sorted(maps.Keys(k.queues)) {
		q := k.queues[number]
		b = fmt.Appendf(b, "%5d %6d %5d %1d %5d %5d %5d %8d %2d\n",
			q.number, q.owner.portID, q.order.Len(), q.mode, q.copyRange,
			q.queueDropped, q.userDropped, q.lastID, 1)
	}
	return b
}
