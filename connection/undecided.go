// SPDX-License-Identifier: GPL-2.0-or-later

package connection

import (
	"fmt"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/bridge"
)

// tries is how many packets a client may send before the server has answered without a line in the
// log: a SYN, an acknowledgement and data. Then it sends some of these again.
const tries = 3

// follow adds a packet to an undecided connection, and asks the handler if that is news.
func (t *Tracker) follow(c *Conn, p *nfqueue.Packet, s *segment, d Direction) nfqueue.Verdict {
	if c.mayBeFormer() {
		// Anybody can send a SYN on the ports of a connection, and must not end it by that.
		if c.answersSYN(s, d) {
			c.state &^= stateFormer
		} else if s.flags&flagSYN == 0 {
			return nfqueue.Accept
		}
	}
	if s.flags&flagURG != 0 && !withoutUrgent(p) {
		t.stats.ignored.Add(1)
		return nfqueue.Drop
	}
	first := c.packets == 0
	if first || !c.mayBeFormer() {
		c.packets++
	}
	news, fresh, ignored := c.add(s, d, t.cfg.MaxBytes)
	if first {
		news |= Opened
	}
	conflict := news&Conflict != 0
	if conflict {
		t.stats.conflicts.Add(1)
	}
	if news != 0 {
		if a := t.ask(c, p, d, news); a != More {
			t.decide(c, a, limitNone, d == Original)
		}
	}
	if c.answer == More {
		if l := t.limitOf(c); l != limitNone {
			t.decide(c, t.cfg.Fallback, l, d == Original)
		}
	}
	if c.answer == More {
		t.keep(c, s, d)
	}
	switch {
	case c.answer != More:
		v := t.decided(c, p, s, d)
		if conflict && c.answer == Accept { // the first copy wins
			return nfqueue.Drop
		}
		return v
	case ignored:
		return t.withoutData(c, p, s, d)
	case conflict:
		return nfqueue.Drop
	case !t.cfg.Hold || d == Reply && c.state&(stateBoth|stateGuess) == 0:
		return nfqueue.Accept
	}
	return t.holdBack(c, p, s, d, fresh)
}

// ask calls the handler.
func (t *Tracker) ask(c *Conn, p *nfqueue.Packet, d Direction, news News) Answer {
	t.packet, t.dir, t.news = p, d, news
	returned := false
	defer func() {
		t.packet = nil
		if !returned {
			t.decide(c, t.cfg.Fallback, limitPanic, false)
		}
	}()
	a := t.h.ServeConn(c)
	if a > Reject {
		panic(fmt.Sprintf("connection: the handler returned %v; want More, Accept, Drop or Reject", a))
	}
	returned = true
	return a
}

// keep keeps what a packet has added to an undecided connection, and makes room for it.
func (t *Tracker) keep(c *Conn, seg *segment, d Direction) {
	c.sides[d].keep()
	t.charge(c, c.sides[Original].memory()+c.sides[Reply].memory())
	switch {
	case c.list == &t.undecided:
	case c.memory > 0 || c.state&stateTCP == 0:
		c.since = t.now
		t.undecided.move(c)
	case c.list == &t.opening && c.packets > 1 && seg.flags&flagSYN == 0:
		c.since = t.now
		t.quiet.move(c)
	}
	t.limitMemory()
}

// withoutData returns the verdict for a segment whose data the receiver may ignore. A SYN
// goes on without it: the client sends it again when the SYN has been answered. So does what
// may be a keep-alive.
func (t *Tracker) withoutData(c *Conn, p *nfqueue.Packet, s *segment, d Direction) nfqueue.Verdict {
	opens := s.flags&(flagSYN|flagACK) == flagSYN
	before := c.sides[d].known && c.sides[d].offset(s) < 0
	if (opens || before) && p.SetBody(nil) == nil {
		t.stats.stripped.Add(1)
		return nfqueue.Accept
	}
	if c.state&stateUnsure == 0 || s.flags&(flagSYN|flagACK) != flagACK {
		t.stats.ignored.Add(1)
		return nfqueue.Drop
	}
	t.stats.unanswered.Add(1)
	if c.packets > tries && !t.told {
		t.told = true
		bridge.Warn(p, "connection: data of a client is dropped because no answer to its SYN was "+
			"seen; queue both directions of TCP, or set connection.Config.OneWay", "flow", c.flow)
	}
	return nfqueue.Drop
}

// holdBack returns the verdict for a packet of a direction of a connection that is undecided, so
// that nothing of what it says leaves.
func (t *Tracker) holdBack(
	c *Conn, p *nfqueue.Packet, s *segment, d Direction, fresh int,
) nfqueue.Verdict {
	side := &c.sides[d]
	if c.state&stateTCP != 0 {
		at := side.offset(s)
		end := at + len(s.body)
		known := fresh == 0 && end <= t.cfg.MaxBytes && at >= 0
		fin := s.flags&flagFIN != 0
		switch {
		case s.flags&flagRST != 0 && len(s.body) > 0 && p.SetBody(nil) != nil:
			return nfqueue.Drop
		case s.flags&flagRST != 0, len(s.body) == 0 && (!fin || !side.known):
			return nfqueue.Accept
		case fin && len(s.body) == 0 && c.hold == nil && at <= len(side.data):
			return nfqueue.Accept
		case known && !fin && c.hold != nil:
			t.stats.repeated.Add(1)
			return nfqueue.Drop
		}
	}
	if c.hold == nil {
		c.hold = &hold{c: c}
		c.since = t.now
		t.undecided.move(c)
	}
	if !t.held.add(c.hold, p, t.now) {
		t.decide(c, t.cfg.Fallback, limitTime, true)
		return t.decided(c, p, s, d)
	}
	for t.stats.held.Load() > int64(t.cfg.MaxHeld) {
		oldest := t.held.oldest()
		if oldest == nil { // expired meanwhile
			break
		}
		t.decide(oldest, t.cfg.Fallback, limitHeld, false)
	}
	return nfqueue.Deferred
}
