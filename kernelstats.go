// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"errors"
	"fmt"

	"github.com/chifflier/nfqueue-go/internal/nfqmsg"
)

// QueueInfo is a line of /proc/net/netfilter/nfnetlink_queue, the kernel's account
// of a bound queue. Its counters start when the queue is bound. The maximum length
// and the flags are not in it.
type QueueInfo struct {
	// Queue is the number of the queue.
	Queue uint16
	// PortID is the netlink port id of the socket that has bound it. The first
	// netfilter socket of a process usually has the process id.
	PortID uint32
	// Backlog is the number of packets that wait for a verdict, those included that
	// have been read.
	Backlog uint32
	// CopyMode and CopyRange say how much of each packet is copied.
	CopyMode  CopyMode
	CopyRange uint32
	// QueueDropped is the number of packets lost because the queue was full,
	// UserDropped of those lost because the receive buffer of the socket was.
	// Packets that FailOpen let pass are in neither.
	QueueDropped, UserDropped uint32
	// LastID is the id of the latest packet.
	LastID uint32
}

// errNotListed means that nobody has bound a queue.
var errNotListed = errors.New("the kernel lists no such queue")

// KernelStats returns the bound queues of the network namespace of the calling
// thread, whoever has bound them. Only root may read the file, and root of a user
// namespace only if its ids were mapped when the network namespace was made.
func KernelStats() ([]QueueInfo, error) {
	table, err := readQueueTable()
	if err != nil {
		return nil, fmt.Errorf("nfqueue: kernel statistics: %w", err)
	}
	return parseQueueTable(table)
}

// kernelInfo returns the kernel's account of q, or of what another socket has bound
// under its number.
func (q *Queue) kernelInfo() (QueueInfo, error) {
	table, err := q.conn.ProcTable()
	if err != nil {
		return QueueInfo{}, err
	}
	infos, err := parseQueueTable(table)
	for _, i := range infos {
		if i.Queue == q.cfg.Queue {
			return i, nil
		}
	}
	return QueueInfo{}, errors.Join(err, errNotListed)
}

// parseQueueTable parses the kernel's table of queues.
func parseQueueTable(table []byte) ([]QueueInfo, error) {
	lines, err := nfqmsg.ParseQueueTable(table)
	infos := make([]QueueInfo, len(lines))
	for i, l := range lines {
		infos[i] = QueueInfo{
			Queue: l.Queue, PortID: l.PortID, Backlog: l.Backlog,
			CopyMode: copyModeOf(l.CopyMode), CopyRange: l.CopyRange,
			QueueDropped: l.QueueDropped, UserDropped: l.UserDropped, LastID: l.LastID,
		}
	}
	if err != nil {
		return infos, fmt.Errorf("nfqueue: %w", err)
	}
	return infos, nil
}
