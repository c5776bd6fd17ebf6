// SPDX-License-Identifier: GPL-2.0-or-later

package connection

import "time"

const (
	tick        = 100 * time.Millisecond // how often packets look for old connections
	agedPerTick = 64                     // how many of each list they look at
	agedPerOpen = 2                      // how many a new connection looks at
	chances     = 8                      // how many are looked at for one to forget
)

// stale reports whether c has had no packets for so long that the next is of another
// connection.
func (t *Tracker) stale(c *Conn) bool {
	return c.list != &t.undecided && t.now-c.last >= c.list.timeout
}

// age forgets and decides connections whose time has passed. It looks at so many of each
// list.
func (t *Tracker) age(n int) {
	t.aged = t.now
	for range n {
		c := t.undecided.head
		if c == nil || !t.overdue(c) {
			break
		}
	}
	for _, l := range [...]*list{&t.opening, &t.quiet, &t.unproven, &t.streams, &t.datagrams,
		&t.ended} {
		for range min(n, l.len) {
			c := l.head
			if t.stale(c) {
				t.forget(c, limitTime)
			} else if !t.again(c) {
				break
			}
		}
	}
}

// again puts c, which is at the front of its list, at the end if there were packets since
// it was put there.
func (t *Tracker) again(c *Conn) bool {
	if c.list == &t.undecided || c.last <= c.since {
		return false
	}
	c.since = c.last
	c.list.move(c)
	return true
}

// leastWanted chooses a connection to be forgotten: one that has ended, or else an old one
// of the most numerous kind, so that a flood of one kind does not cost the others.
func (t *Tracker) leastWanted() *Conn {
	most := &t.ended
	if most.len == 0 {
		for _, l := range [...]*list{&t.opening, &t.quiet, &t.undecided, &t.unproven, &t.streams,
			&t.datagrams} {
			if l.len > most.len {
				most = l
			}
		}
	}
	for range chances {
		if !t.again(most.head) {
			break
		}
	}
	return most.head
}

// forget removes c. If it is undecided it gets the Fallback because of l.
func (t *Tracker) forget(c *Conn, l limit) {
	if c.answer == More {
		t.decide(c, t.cfg.Fallback, l, false)
	}
	t.charge(c, 0)
	c.list.remove(c)
	delete(t.conns, c.key)
	t.stats.conns.Store(int64(len(t.conns)))
	c.next, t.free = t.free, c
}

// limitOf returns the limit that an undecided connection has reached.
func (t *Tracker) limitOf(c *Conn) limit {
	original, reply := &c.sides[Original], &c.sides[Reply]
	switch {
	case c.state&stateOver != 0, original.done && reply.done,
		t.cfg.Hold && original.done && len(original.data) > 0: // no more bytes can come
		c.state |= stateOver | stateEmptyPass
		return limitEnded
	case c.state&stateCut != 0, max(len(original.data), len(reply.data)) >= t.cfg.MaxBytes:
		return limitBytes
	case int(c.packets) >= t.cfg.MaxPackets:
		return limitPackets
	}
	return limitNone
}

// overdue ends the wait for an answer to c if its time has passed, and reports whether it
// has.
func (t *Tracker) overdue(c *Conn) bool {
	if c.list != &t.undecided {
		return false
	}
	if t.now-c.since < t.cfg.Timeout && (c.hold == nil || !t.held.expired(c.hold)) {
		return false
	}
	t.decide(c, t.cfg.Fallback, limitTime, false)
	return true
}

// limitMemory has connections give up what they keep, until it is within the limit.
func (t *Tracker) limitMemory() {
	for t.memory > t.cfg.MaxMemory {
		switch {
		case t.unproven.head != nil:
			t.letGo(t.unproven.head)
		case t.undecided.head != nil:
			t.decide(t.undecided.head, t.cfg.Fallback, limitMemory, false)
		default:
			return
		}
	}
}

// charge counts the memory of a connection.
func (t *Tracker) charge(c *Conn, n int) {
	if n != c.memory {
		t.memory += n - c.memory
		c.memory = n
		t.stats.memory.Store(int64(t.memory))
	}
}
