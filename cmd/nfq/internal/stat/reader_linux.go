// SPDX-License-Identifier: GPL-2.0-or-later

package stat

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netns"
	"github.com/chifflier/nfqueue-go/internal/procfd"
)

// Queue is the kernel's account of a bound queue. The counters start when it is bound, and wrap at
// 2^32.
type Queue struct {
	Queue         uint16  `json:"queue"`
	PortID        uint32  `json:"port_id"` // of the netlink socket that has bound it
	Owners        []Owner `json:"owners"`  // empty if they are not visible
	Backlog       uint32  `json:"backlog"` // packets that wait for a verdict
	CopyMode      string  `json:"copy_mode"`
	CopyRange     uint32  `json:"copy_range"`
	QueueDropped  uint32  `json:"queue_dropped"`       // packets lost because the queue was full
	SocketDropped uint32  `json:"socket_dropped"`      // packets lost because the socket's receive buffer was full
	LastID        uint32  `json:"last_id"`             // of the latest packet, counted from 1
	Decided       uint32  `json:"decided"`             // packets that got a verdict, with those that fail-open let pass for lack of buffer
	SocketUnread  uint32  `json:"socket_unread_bytes"` // of the receive buffer, in the kernel's count
	Rates         *Rates  `json:"rates,omitempty"`     // nil if the queue was not bound at the time before
}

// Rates are packets per second.
type Rates struct {
	Packets       float64 `json:"packets"`
	Decided       float64 `json:"decided"`
	QueueDropped  float64 `json:"queue_dropped"`
	SocketDropped float64 `json:"socket_dropped"`
}

// Snapshot is all queues at one time, in the order of their numbers.
type Snapshot struct {
	Time   time.Time `json:"time"`
	Queues []Queue   `json:"queues"`
	chosen bool      // by Reader.Only
}

// Reader takes snapshots. It is not for concurrent use.
type Reader struct {
	NetNS *os.File                // nil is the namespace of the caller
	Only  func(queue uint16) bool // nil is all queues

	sockets procfd.Sockets
	last    Snapshot
}

// Read takes a snapshot. The rates are those since the one before.
func (r *Reader) Read() (Snapshot, error) {
	s, sockets, err := r.table()
	if err != nil {
		return s, err
	}
	inodes := make(map[uint64]bool)
	for _, q := range s.Queues {
		if socket, ok := sockets[q.PortID]; ok {
			inodes[socket.Inode] = true
		}
	}
	found := findOwners(&r.sockets, inodes)
	for i := range s.Queues {
		q := &s.Queues[i]
		socket := sockets[q.PortID]
		q.Owners = append([]Owner{}, found[socket.Inode]...) // an empty list in JSON
		q.SocketUnread = socket.Unread
		for _, before := range r.last.Queues {
			if before.Queue == q.Queue {
				q.Rates = rates(before, *q, s.Time.Sub(r.last.Time))
			}
		}
	}
	r.last = s
	return s, nil
}

// table reads the tables of the kernel.
func (r *Reader) table() (s Snapshot, sockets map[uint32]procfd.Netlink, err error) {
	var infos []nfqueue.KernelQueue
	err = netns.Do(r.NetNS, func() (err error) {
		s.Time = time.Now()
		if infos, err = nfqueue.KernelQueues(); err != nil {
			return explain(err)
		}
		table, err := os.ReadFile(procfd.NetlinkTable)
		if err != nil {
			return err
		}
		sockets, err = procfd.ParseNetfilter(table)
		return err
	})
	s.Queues, s.chosen = []Queue{}, r.Only != nil
	for _, i := range infos {
		if r.Only == nil || r.Only(i.Queue) {
			s.Queues = append(s.Queues, Queue{
				Queue: i.Queue, PortID: i.PortID, Backlog: i.Backlog, CopyMode: i.CopyMode.String(),
				CopyRange:    i.CopyRange,
				QueueDropped: i.QueueDropped, SocketDropped: i.UserDropped, LastID: i.LastID,
				Decided: i.LastID - i.UserDropped - i.Backlog,
			})
		}
	}
	slices.SortFunc(s.Queues, func(a, b Queue) int { return int(a.Queue) - int(b.Queue) })
	return s, sockets, err
}

// explain says what to do when the table cannot be read.
func explain(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf(
			"the kernel has no nfnetlink_queue; load it with modprobe nfnetlink_queue, or build it in (%w): %w",
			errors.ErrUnsupported,
			err,
		)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf(
			"only root may read the kernel's table of queues, and root of a user namespace only in a network namespace that was made after its ids were mapped; run with sudo: %w",
			err,
		)
	}
	return err
}

// rates returns what has happened per second, nil if it is not the same binding of the queue.
func rates(before, after Queue, passed time.Duration) *Rates {
	packets := after.LastID - before.LastID
	full, lost := after.QueueDropped-before.QueueDropped, after.SocketDropped-before.SocketDropped
	const backwards = 1 << 31
	if passed <= 0 || before.PortID != after.PortID || packets >= backwards || full >= backwards ||
		lost >= backwards {
		return nil
	}
	per := func(n uint32) float64 { return float64(n) / passed.Seconds() }
	decided := after.Decided - before.Decided
	if decided >= backwards {
		decided = 0 // the kernel counts while it is read
	}
	return &Rates{
		Packets:       per(packets),
		Decided:       per(decided),
		QueueDropped:  per(full),
		SocketDropped: per(lost),
	}
}
