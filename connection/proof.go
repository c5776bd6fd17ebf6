// SPDX-License-Identifier: GPL-2.0-or-later

package connection

import "github.com/chifflier/nfqueue-go"

// needsProof reports whether the receiver of a direction may not have got the bytes that the
// handler has seen: it ignores some segments, and other bytes could come in their place.
func (c *Conn) needsProof() bool {
	return c.state&stateTCP != 0 && (c.sides[Original].seen() || c.sides[Reply].seen())
}

// seen reports whether the handler has seen anything of a direction.
func (s *side) seen() bool { return len(s.data) > 0 || s.done }

// await keeps what the handler has seen of c until it is acknowledged.
func (t *Tracker) await(c *Conn) {
	c.state |= stateUnproven
	n := 0
	for i := range c.sides {
		s := &c.sides[i]
		s.keep()
		s.ahead = nil
		if s.unproven = s.seen(); !s.unproven {
			s.data = nil
		}
		n += s.memory()
	}
	t.charge(c, n)
	t.unproven.move(c)
	t.limitMemory()
}

// letGo has c keep no bytes. Segments with those are dropped until they are acknowledged.
func (t *Tracker) letGo(c *Conn) {
	for i := range c.sides {
		s := &c.sides[i]
		s.base, s.fin = s.base+uint32(len(s.data)), s.fin-int32(len(s.data))
		s.stream = stream{}
	}
	t.charge(c, 0)
	t.streams.move(c)
}

// prove returns the verdict for a packet of a connection that is accepted on bytes that were
// not acknowledged yet. Only a packet that has the same bytes passes.
func (t *Tracker) prove(c *Conn, p *nfqueue.Packet, s *segment, d Direction) nfqueue.Verdict {
	if s.flags&flagURG != 0 && !withoutUrgent(p) {
		t.stats.ignored.Add(1)
		return nfqueue.Drop
	}
	c.handshake(s, d)
	t.acknowledge(c, s, 1-d)
	if side := &c.sides[d]; side.unproven && s.flags&flagRST == 0 {
		b := piece{side.offset(s), s.body}
		switch {
		case s.mayBeIgnored(d) || c.notOfThis(s, d):
			return t.withoutData(c, p, s, d)
		case side.contradicts(s) || !sameBytes(piece{0, side.data}, b),
			s.cut && b.end() < len(side.data):
			t.stats.conflicts.Add(1)
			return nfqueue.Drop
		}
	}
	return t.decided(c, p, s, d)
}

// acknowledge lets go of the bytes of a direction that are acknowledged by a segment of the other.
func (t *Tracker) acknowledge(c *Conn, s *segment, d Direction) {
	side := &c.sides[d]
	want := len(side.data)
	if side.done {
		want++
	}
	if !side.unproven || c.state&stateUnsure != 0 || s.flags&(flagACK|flagRST) != flagACK ||
		int(int32(s.ack-side.base)) < want {
		return
	}
	side.unproven, side.stream = false, stream{}
	t.charge(c, c.sides[1-d].memory())
	if c.sides[1-d].unproven {
		return
	}
	c.state &^= stateUnproven
	if c.list == &t.unproven {
		c.since = t.now
		t.streams.move(c)
	}
}
