// SPDX-License-Identifier: GPL-2.0-or-later

package rules

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/chifflier/nfqueue-go/internal/netns"
	"github.com/chifflier/nfqueue-go/internal/nfqmsg"
	"github.com/chifflier/nfqueue-go/internal/procfd"
	"golang.org/x/sys/unix"
)

// neighbours are the queues of a network namespace, which lose their packets when a hook is
// unregistered.
type neighbours struct {
	queues  *os.File // the kernel's table of queues, nil if it may not be read
	sockets *os.File // the kernel's table of netlink sockets, nil if it may not be read
	turn    *os.File // the namespace, locked by the process that changes hooks; may be nil
	log     *slog.Logger
	untold  []func() // warnings for tell
}

// openNeighbours opens the tables of the namespace, which may be read later from any other.
func openNeighbours(cfg Config) *neighbours {
	n := &neighbours{log: cfg.Logger}
	if n.log == nil {
		n.log = slog.Default()
	}
	_ = netns.DoFD(cfg.NetNS, func() error {
		n.queues, _ = os.Open("/proc/thread-self/net/netfilter/nfnetlink_queue")
		n.sockets, _ = os.Open(procfd.NetlinkTable)
		n.turn, _ = os.Open(netns.ThreadPath)
		return nil
	})
	return n
}

func (n *neighbours) close() {
	_ = n.queues.Close() // of nil too
	_ = n.sockets.Close()
	_ = n.turn.Close()
}

// takeTurn reports false if another Set of the namespace, also of another process, is about to
// change its hooks. All of them find the same moment good, and each change delays the next by
// milliseconds. A turn ends with the process at the latest.
func (n *neighbours) takeTurn() bool {
	return !errors.Is(n.lock(unix.LOCK_EX|unix.LOCK_NB), unix.EWOULDBLOCK)
}

func (n *neighbours) endTurn() { _ = n.lock(unix.LOCK_UN) }

func (n *neighbours) lock(how int) error {
	raw, err := n.turn.SyscallConn()
	if err != nil {
		return err
	}
	var lockErr error
	return errors.Join(raw.Control(func(fd uintptr) { lockErr = unix.Flock(int(fd), how) }), lockErr)
}

const (
	// lookInterval is the time between two looks at the queues.
	lookInterval = time.Millisecond
	// quietAfter is when a queue in which nothing has moved is taken to be unused.
	quietAfter = 100 * time.Millisecond
	// busyAfter is when any moment at which no packet waits is good.
	busyAfter = 500 * time.Millisecond
	// barrierTime is how long a transaction without content takes at most if there is no other.
	barrierTime = 300 * time.Microsecond
	// destroyTime is how long the kernel usually takes to destroy what was deleted.
	destroyTime = 40 * time.Millisecond
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

// pace is what has been seen of a queue.
type pace struct {
	lastID uint32
	moved  time.Time     // when a packet was last seen to come or to wait
	idle   bool          // none was, at the last look
	gap    time.Duration // between the last two times; 0 if not known
}

// look records what a look has found.
func (p *pace) look(at time.Time, q nfqmsg.QueueLine) {
	switch moves := q.LastID != p.lastID || waits(q); {
	case !moves:
		p.idle = true
	case p.idle:
		p.gap = at.Sub(p.moved)
		fallthrough
	default:
		p.idle, p.moved = false, at
	}
	p.lastID = q.LastID
}

// due reports whether a packet may come soon. Packets often come at regular intervals, so none is
// due just after one has gone. While the gap is not known, one may come at any time.
func (p *pace) due(at time.Time) bool {
	quiet := at.Sub(p.moved)
	return !p.idle || quiet < quietAfter && quiet >= p.gap/2
}

// await waits for a moment at which no packet waits in a queue, or has tell warn if there is none.
// A packet may come right after the last look: it costs time, but with care await waits for a
// moment at which none is due.
//
// The caller then commits a transaction, for which the kernel waits if another is under way.
// barrier waits for those of others, and await returns only if there was none. It then is the turn
// of the caller, who calls endTurn after the transaction.
func (n *neighbours) await(limit time.Duration, consequence string, care bool, barrier func()) {
	start := time.Now()
	paces := make(map[uint16]*pace)
	for {
		queues, err := n.list()
		if err != nil || len(queues) == 0 {
			return
		}
		at := time.Now()
		due, wait := false, false
		for _, q := range queues {
			p := paces[q.Queue]
			if p == nil {
				p = &pace{lastID: q.LastID, moved: at}
				paces[q.Queue] = p
			}
			p.look(at, q)
			wait = wait || waits(q)
			due = due || !p.idle || care && p.due(at)
		}
		waited := at.Sub(start)
		switch {
		case waited > limit:
			n.warn(queues, consequence)
			return
		case !wait && (!due || waited > busyAfter) && n.takeTurn():
			began := time.Now()
			barrier()
			free := time.Since(began) < barrierTime
			if now, err := n.list(); err != nil || free && sameIDs(queues, now) {
				return
			}
			n.endTurn()
		}
		time.Sleep(lookInterval)
	}
}

// sameIDs reports whether no packet has come to a queue between two looks.
func sameIDs(before, after []nfqmsg.QueueLine) bool {
	return slices.EqualFunc(before, after, func(a, b nfqmsg.QueueLine) bool {
		return a.Queue == b.Queue && a.LastID == b.LastID
	})
}

// sparePause comes between a deletion and the end of a socket. The kernel destroys what was
// deleted in the background, and a socket that is closed earlier waits for that. No transaction can
// be made meanwhile, also not by a program that has just found all queues empty.
func (n *neighbours) sparePause() {
	if queues, _ := n.list(); len(queues) > 0 {
		time.Sleep(destroyTime)
	}
}

// waits reports whether packets wait in a queue.
func waits(q nfqmsg.QueueLine) bool { return q.Backlog > 0 }

// list reads the kernel's table of queues.
func (n *neighbours) list() ([]nfqmsg.QueueLine, error) {
	table, err := io.ReadAll(io.NewSectionReader(n.queues, 0, 1<<30))
	if err != nil {
		return nil, err
	}
	return nfqmsg.ParseQueueTable(table)
}

// warn has tell say whose packets are concerned.
func (n *neighbours) warn(queues []nfqmsg.QueueLine, consequence string) {
	for _, q := range queues {
		if waits(q) {
			program := n.program(q.PortID)
			n.untold = append(n.untold, func() {
				n.log.Warn(consequence, "queue", q.Queue, "packets", q.Backlog,
					"portid", q.PortID, "program", program)
			})
		}
	}
}

// tell gives the warnings to the Logger, which may call methods of the Set: no lock is held.
func (n *neighbours) tell() {
	for _, warning := range n.untold {
		warning()
	}
	n.untold = nil
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
