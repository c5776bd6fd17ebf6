// SPDX-License-Identifier: GPL-2.0-or-later

package connection

import (
	"sync/atomic"

	"github.com/chifflier/nfqueue-go/internal/addup"
)

// Stats counts what a Tracker has done.
type Stats struct {
	// Conns is how many connections are followed now, Undecided how many of them are not
	// decided, Held how many packets are held, and Memory how many bytes of undecided connections,
	// and of accepted ones until they are acknowledged, are kept.
	Conns, Undecided, Held, Memory int64

	// Opened counts connections.
	Opened uint64
	// Accepted, Dropped and Rejected count the answers of the handler.
	Accepted, Dropped, Rejected uint64
	// Fallback counts the connections that got the Fallback, by the reason.
	Fallback FallbackStats
	// Forgotten counts connections, of all kinds, that had to make room (MaxConns).
	Forgotten uint64
	// Conflicts counts segments with other bytes than an earlier one.
	Conflicts uint64
	// Repeated counts segments that were dropped because the same bytes are held.
	Repeated uint64
	// Stripped counts SYN of undecided connections whose data was taken out: a server
	// that does not know Fast Open ignores it, and other data could come in its place. Data
	// before the beginning of a connection, as of some keep-alives, is taken out and counted too.
	Stripped uint64
	// Ignored counts segments of undecided connections that were dropped because their
	// receiver would ignore the data: they have no ACK, or a SYN too, or acknowledge what was
	// not sent. Urgent ones of packets that cannot be edited count too, and SYN of which two
	// earlier ones, into an accepted connection, are not answered yet.
	Ignored uint64
	// Unanswered counts segments that were dropped because no answer of the server to their
	// client's SYN was seen. If it grows with every connection, the queue sees one direction only:
	// queue both, or set Config.OneWay. When a client sends data again, nfqueue.Config.Logger
	// gets a line, once.
	Unanswered uint64
	// Other counts packets of no connection.
	Other uint64
}

// FallbackStats says why connections got the Fallback.
type FallbackStats struct {
	Bytes    uint64 // Config.MaxBytes, or the packets were not copied whole
	Packets  uint64 // Config.MaxPackets
	Time     uint64 // Config.Timeout
	Conns    uint64 // Config.MaxConns
	Memory   uint64 // Config.MaxMemory
	Held     uint64 // Config.MaxHeld
	Ended    uint64 // the connection ended
	Replaced uint64 // another one uses the addresses and ports
	Panic    uint64 // the handler panicked
}

// limit is why a connection gets the Fallback.
type limit uint8

const (
	limitBytes limit = iota
	limitPackets
	limitTime
	limitConns
	limitMemory
	limitHeld
	limitEnded
	limitReplaced
	limitPanic
	limits
	limitNone
)

type counters struct {
	conns, undecided, held, memory     atomic.Int64
	opened, forgotten, conflicts       atomic.Uint64
	repeated, stripped, ignored, other atomic.Uint64
	unanswered                         atomic.Uint64
	answers                            [Reject + 1]atomic.Uint64
	limit                              [limits]atomic.Uint64
}

// Stats returns the counters. It may be called from any goroutine.
func (t *Tracker) Stats() Stats {
	c := &t.stats
	l := func(l limit) uint64 { return c.limit[l].Load() }
	return Stats{
		Conns: c.conns.Load(), Undecided: c.undecided.Load(),
		Held: c.held.Load(), Memory: c.memory.Load(),
		Opened:   c.opened.Load(),
		Accepted: c.answers[Accept].Load(),
		Dropped:  c.answers[Drop].Load(),
		Rejected: c.answers[Reject].Load(),
		Fallback: FallbackStats{
			Bytes: l(limitBytes), Packets: l(limitPackets), Time: l(limitTime), Conns: l(limitConns),
			Memory: l(limitMemory), Held: l(limitHeld), Ended: l(limitEnded), Replaced: l(limitReplaced),
			Panic: l(limitPanic),
		},
		Forgotten: c.forgotten.Load(), Conflicts: c.conflicts.Load(), Repeated: c.repeated.Load(),
		Stripped: c.stripped.Load(), Ignored: c.ignored.Load(), Unanswered: c.unanswered.Load(),
		Other: c.other.Load(),
	}
}

// Add returns the sum of s and o, of the trackers of several workers or queues.
func (s Stats) Add(o Stats) Stats {
	addup.Fields(&s, &o)
	return s
}
