// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
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

// parseQueueTable parses the lines that seq_show of nfnetlink_queue.c prints: queue,
// port id, backlog, copy mode, copy range, both drop counters, last id, and 1.
func parseQueueTable(table []byte) (infos []QueueInfo, err error) {
	for line := range bytes.Lines(table) {
		f := bytes.Fields(line)
		if len(f) < 8 {
			return infos, fmt.Errorf("nfqueue: queue table: %d columns in %q, want at least 8", len(f), line)
		}
		var n [8]uint32
		for i := range n {
			v, err := strconv.ParseUint(string(f[i]), 10, 32)
			if err != nil {
				return infos, fmt.Errorf("nfqueue: queue table: column %d of %q: %w", i+1, line, err)
			}
			n[i] = uint32(v)
		}
		infos = append(infos, QueueInfo{
			Queue: uint16(n[0]), PortID: n[1], Backlog: n[2],
			CopyMode: copyModeOf(uint8(n[3])), CopyRange: n[4],
			QueueDropped: n[5], UserDropped: n[6], LastID: n[7],
		})
	}
	return infos, nil
}
