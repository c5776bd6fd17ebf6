// SPDX-License-Identifier: GPL-2.0-or-later

package nfqmsg

import (
	"bytes"
	"fmt"
	"strconv"
)

// QueueLine is a line of /proc/net/netfilter/nfnetlink_queue.
type QueueLine struct {
	Queue                     uint16
	PortID, Backlog           uint32
	CopyMode                  uint8 // enum nfqnl_config_mode
	CopyRange                 uint32
	QueueDropped, UserDropped uint32
	LastID                    uint32
}

// ParseQueueTable reads the lines that seq_show of nfnetlink_queue.c prints: queue, port id,
// backlog, copy mode, copy range, both drop counters, last id, and 1.
func ParseQueueTable(table []byte) (lines []QueueLine, err error) {
	for line := range bytes.Lines(table) {
		f := bytes.Fields(line)
		if len(f) < 8 {
			return lines, fmt.Errorf("queue table: %d columns in %q, want at least 8", len(f), line)
		}
		var n [8]uint32
		for i := range n {
			v, err := strconv.ParseUint(string(f[i]), 10, 32)
			if err != nil {
				return lines, fmt.Errorf("queue table: column %d of %q: %w", i+1, line, err)
			}
			n[i] = uint32(v)
		}
		lines = append(lines, QueueLine{
			Queue: uint16(n[0]), PortID: n[1], Backlog: n[2], CopyMode: uint8(n[3]), CopyRange: n[4],
			QueueDropped: n[5], UserDropped: n[6], LastID: n[7],
		})
	}
	return lines, nil
}
