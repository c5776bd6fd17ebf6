// SPDX-License-Identifier: GPL-2.0-or-later

package connection

import "github.com/chifflier/nfqueue-go"

// decide gives c its answer, and the packets that are held their verdict. rejects says
// that the packet in hand is rejected, so that a held one need not be.
func (t *Tracker) decide(c *Conn, a Answer, l limit, rejects bool) {
	unproven := a == Accept && l == limitNone && !t.cfg.OneWay && c.needsProof()
	offload := t.cfg.Offload
	if unproven {
		offload = plain{}
	}
	if c.hold != nil && !t.held.release(c.hold, a, offload, !rejects) {
		a, l = t.cfg.Fallback, limits // which expire has counted
		unproven = false
	}
	switch {
	case l == limitNone:
		t.stats.answers[a].Add(1)
	case l < limits:
		t.stats.limit[l].Add(1)
	}
	c.answer, c.hold, c.Value = a, nil, nil
	for i := range c.sides {
		s := &c.sides[i]
		if s.ends = nil; !unproven {
			s.stream = stream{}
		}
	}
	t.charge(c, 0)
	if l != limits {
		t.stats.undecided.Add(-1)
	}
	c.since = t.now
	switch {
	case unproven:
		t.await(c)
	case c.state&stateOver != 0:
		t.ended.move(c)
	case c.state&stateTCP != 0:
		t.streams.move(c)
	default:
		t.datagrams.move(c)
	}
}

// decided returns the verdict for a packet of a connection that is decided.
func (t *Tracker) decided(c *Conn, p *nfqueue.Packet, s *segment, d Direction) nfqueue.Verdict {
	if c.state&stateTCP != 0 && (s.flags&(flagFIN|flagRST) != 0 || c.state&stateOver != 0) {
		t.noteEnd(c, s, d)
	}
	if c.state&stateEmptyPass != 0 && len(s.body) == 0 {
		return nfqueue.Accept
	}
	switch c.answer {
	case Accept:
		return t.accepted(c, p)
	case Reject:
		return t.cfg.Offload.Reject(p)
	}
	return t.cfg.Offload.Drop(p)
}

// noteEnd notes what a packet says of the end of a decided connection. The receiver may ignore a
// reset.
func (t *Tracker) noteEnd(c *Conn, s *segment, d Direction) {
	side := &c.sides[d]
	switch over := c.state&stateOver != 0; {
	case s.flags&flagRST != 0:
		if over || c.state&stateUnproven != 0 && !c.ends(s, d) {
			return
		}
	case s.flags&flagFIN != 0 && !over:
		if !side.ended {
			side.ended, side.fin = true, int32(side.offset(s)+len(s.body))
		}
		if c.state&stateUnproven != 0 || !c.closed() {
			return
		}
	case over && d == Reply && c.answer == Accept && c.state&stateEmptyPass == 0 && !c.closed():
		c.state &^= stateOver // the server goes on
		c.since = t.now
		t.streams.move(c)
		return
	default:
		return
	}
	if c.list == &t.unproven {
		t.letGo(c)
	}
	c.state |= stateOver
	c.since = t.now
	t.ended.move(c)
}

// closed reports whether both ends have sent a FIN.
func (c *Conn) closed() bool { return c.sides[Original].ended && c.sides[Reply].ended }

// accepted returns the verdict for a packet of a connection that is accepted.
func (t *Tracker) accepted(c *Conn, p *nfqueue.Packet) nfqueue.Verdict {
	if c.state&stateUnproven != 0 {
		return nfqueue.Accept
	}
	return t.cfg.Offload.Accept(p)
}
