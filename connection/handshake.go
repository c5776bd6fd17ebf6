// SPDX-License-Identifier: GPL-2.0-or-later

package connection

import "github.com/chifflier/nfqueue-go"

// A SYN need not open a connection: the server may have one with these ports, or answer another
// SYN. The bits of state say what the server may have:
//
//	known before      behind a SYN              when the server acknowledges it
//	accepted          Unsure, Former            Agreed
//	Unsure, Former    Unsure, Former, Earlier   Agreed
//	all else          Unsure                    Agreed
//
// While a connection is Unsure, data of the client is dropped. With Former it passes: it is of the
// accepted connection. A third SYN is dropped for a minute. Where no SYN was seen the state is
// Guess, and where both ends have sent one it is Both. The client is not known for sure then, and
// Config.Hold holds data of either end.

// replacedBy reports whether a segment opens, or answers, another connection with the addresses
// and ports of c. A SYN that was sent again does not.
func (c *Conn) replacedBy(s *segment, d Direction) bool {
	side := &c.sides[d]
	if s.flags&(flagSYN|flagACK|flagRST) == flagSYN|flagACK {
		// Its sender answers, and is not the client. What it sent before was of an earlier connection.
		return c.answer == More && d == Original && c.state&(stateSYN|stateGuess) == stateGuess
	}
	switch {
	case c.state&stateTCP == 0 || s.flags&(flagSYN|flagACK|flagRST) != flagSYN:
		return false
	case c.state&stateOver != 0, c.state&stateSYN == 0:
		return true
	case d == Original && s.seq+1 != side.base:
		return true
	case d == Original:
		// The end of a connection is not seen where the kernel carries on with it, and the next one
		// may begin with the same number.
		return c.answer == Accept && c.packets > 1 && c.state&stateUnproven == 0
	}
	// Both ends may open a connection at the same time (RFC 9293 section 3.5). While this one
	// lasts its client must not become the one who answers.
	return c.mayBeFormer() ||
		c.state&stateAnswered != 0 && c.answer == Accept && (!side.known || s.seq+1 != side.base)
}

// mayBeFormer reports whether the server may still have an accepted connection in the place of c,
// whose SYN it has not acknowledged.
func (c *Conn) mayBeFormer() bool {
	return c.state&(stateFormer|stateUnsure) == stateFormer|stateUnsure
}

// isThirdSYN reports whether a SYN of the client is another than the two that are known since
// a connection was accepted. The server may answer any of them. The first may be that of the
// accepted connection, sent again.
func (c *Conn) isThirdSYN(s *segment) bool {
	return c.mayBeFormer() && c.state&stateEarlier != 0 && s.seq+1 != c.earlier
}

// answersSYN reports whether a segment shows that its sender knows of a SYN, and so of no
// connection before that.
func (c *Conn) answersSYN(s *segment, d Direction) bool {
	return s.flags&flagACK != 0 && (d == Reply || c.state&stateBoth != 0) &&
		(s.flags&flagSYN != 0 || s.ack == c.sides[1-d].base ||
			c.state&stateEarlier != 0 && s.ack == c.earlier)
}

// successor returns what is to be known of the connection that a SYN of a direction opens with
// the addresses and ports of c. Its receiver takes no notice of the SYN if it still has c.
func (c *Conn) successor(d Direction) state {
	both := c.state & stateBoth
	if d == Reply {
		both = stateBoth
	}
	switch {
	case c.mayBeFormer():
		return stateFormer | stateEarlier | both
	case c.answer == Accept && c.state&stateUnproven == 0 && !c.closed():
		return stateFormer
	case c.answer == Accept, c.state&stateSYN == 0 && d == Original:
		return 0
	}
	return both
}

// replace puts the connection that a segment opens or answers in the place of c. It returns nil if
// that is a SYN which must not pass, because the server may answer any of two others.
func (t *Tracker) replace(
	c *Conn, p *nfqueue.Packet, f *nfqueue.Flow, k key, down bool, s *segment,
) *Conn {
	d := c.direction(down)
	if d == Original && c.isThirdSYN(s) && t.now-c.since < openingTimeout {
		return nil
	}
	earlier, inherited := c.sides[Original].base, c.successor(d)
	t.forget(c, limitReplaced)
	c = t.open(p, f, k, down, s)
	if c.state |= inherited; inherited&stateFormer != 0 {
		c.earlier = earlier
		t.quiet.move(c) // the former may be idle for as long
	}
	return c
}

// handshake learns from the packets that open a TCP connection.
func (c *Conn) handshake(s *segment, d Direction) {
	original, reply := &c.sides[Original], &c.sides[Reply]
	if d == Reply && s.cut { // nobody knows where it ends
		c.state &^= stateAgreed
	}
	switch s.flags & (flagSYN | flagACK | flagRST) {
	case flagSYN:
		if d == Reply {
			c.state |= stateBoth
		}
	case flagSYN | flagACK:
		if d != Reply || !original.known || s.ack != original.base {
			return
		}
		switch {
		case c.state&stateUnsure != 0:
			c.state = c.state&^stateUnsure | stateAgreed
			reply.top = s.end()
		case c.state&stateAgreed != 0 && c.list == &c.t.opening && len(s.body) == 0 &&
			reply.top == reply.base:
			// The client may not have got the first answer, and a server that keeps nothing of a
			// SYN gives another.
			reply.base, reply.top = s.end(), s.end()
		}
	case flagACK:
		if end := s.end(); d == Reply && int32(end-reply.top) > 0 {
			reply.top = end
		}
	}
}
