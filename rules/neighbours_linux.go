// SPDX-License-Identifier: GPL-2.0-or-later

package rules

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/chifflier/nfqueue-go/internal/netns"
	"github.com/chifflier/nfqueue-go/internal/nfqmsg"
	"github.com/chifflier/nfqueue-go/internal/procfd"
)

// neighbours are the queues of a network namespace, which lose their packets when a hook is
// unregistered.
type neighbours struct {
	queues  *os.File // the kernel's table of queues, nil if it may not be read
	sockets *os.File // the kernel's table of netlink sockets, nil if it may not be read
	log     *slog.Logger
}

// openNeighbours opens the tables of the namespace, which may be read later from any other.
func openNeighbours(cfg Config) *neighbours {
	n := &neighbours{log: cfg.Logger}
	if n.log == nil {
		n.log = slog.Default()
	}
	open := func() error {
		n.queues, _ = os.Open("/proc/thread-self/net/netfilter/nfnetlink_queue")
		n.sockets, _ = os.Open(procfd.NetlinkTable)
		return nil
	}
	if cfg.NetNS == 0 {
		_ = open()
	} else {
		_ = netns.DoFD(cfg.NetNS, open)
	}
	return n
}

func (n *neighbours) close() {
	_ = n.queues.Close() // of nil too
	_ = n.sockets.Close()
}

const (
	// lookInterval is the time between two looks at the queues.
	lookInterval = time.Millisecond
	// busyAfter is when a queue that is empty but in use is accepted.
	busyAfter = 500 * time.Millisecond
	// startTimeout is how long Install waits.
	startTimeout = time.Second
)

// What happens to packets that wait when a hook comes or goes. The kernel remembers the number of
// the hook that has queued a packet, which is another one's when a hook was registered in front.
const (
	queuedAgain = "packets that wait in a queue may be queued once more by rules " +
		"that have just come"
	dropped = "the end of the rules drops packets that wait in a queue"
)

// await waits for a moment at which no packet waits in a queue, or warns if there is none.
func (n *neighbours) await(limit time.Duration, consequence string) {
	last, err := n.list()
	start := time.Now()
	for err == nil && len(last) > 0 {
		time.Sleep(lookInterval)
		var now []nfqmsg.QueueLine
		now, err = n.list()
		waited := time.Since(start)
		idle := slices.EqualFunc(last, now, func(a, b nfqmsg.QueueLine) bool {
			return a.Queue == b.Queue && a.LastID == b.LastID
		})
		empty := !slices.ContainsFunc(now, func(q nfqmsg.QueueLine) bool { return q.Backlog > 0 })
		switch {
		case empty && (idle || waited > busyAfter):
			return
		case waited > limit:
			n.warn(now, consequence)
			return
		}
		last = now
	}
}

// list reads the kernel's table of queues.
func (n *neighbours) list() ([]nfqmsg.QueueLine, error) {
	table, err := io.ReadAll(io.NewSectionReader(n.queues, 0, 1<<30))
	if err != nil {
		return nil, err
	}
	return nfqmsg.ParseQueueTable(table)
}

// warn says whose packets are concerned.
func (n *neighbours) warn(queues []nfqmsg.QueueLine, consequence string) {
	for _, q := range queues {
		if q.Backlog > 0 {
			n.log.Warn(consequence, "queue", q.Queue, "packets", q.Backlog,
				"portid", q.PortID, "program", n.program(q.PortID))
		}
	}
}

// program returns the name and id of the process that has a netfilter netlink socket, or
// "unknown".
func (n *neighbours) program(portID uint32) string {
	table, err := io.ReadAll(io.NewSectionReader(n.sockets, 0, 1<<30))
	if err != nil {
		return "unknown"
	}
	sockets, err := procfd.ParseNetfilter(table)
	socket, ok := sockets[portID]
	if err != nil || !ok {
		return "unknown"
	}
	var found procfd.Sockets
	for _, pid := range found.Find(map[uint64]bool{socket.Inode: true})[socket.Inode] {
		if name, err := procfd.Name(pid); err == nil {
			return fmt.Sprintf("%s (process %d)", name, pid)
		}
	}
	return "unknown"
}
