// SPDX-License-Identifier: GPL-2.0-or-later

package connection

// offset returns where the data of a segment is in the stream.
func (s *side) offset(seg *segment) int {
	at := seg.seq - s.base
	if seg.flags&flagSYN != 0 {
		at++
	}
	return int(int32(at))
}

// add adds what a packet carries. It returns what is new, how many bytes of a stream are, and
// whether the receiver may ignore the data, which add then takes out of the segment.
func (c *Conn) add(s *segment, d Direction, limit int) (news News, fresh int, ignored bool) {
	if s.cut {
		c.state |= stateCut
	}
	if c.state&stateTCP == 0 {
		return c.addDatagram(s.body, d, limit), 0, false
	}
	c.handshake(s, d)
	if ignored = s.mayBeIgnored(d) || c.notOfThis(s, d); ignored {
		s.body, s.flags = nil, s.flags&^flagFIN
	}
	news, fresh = c.addSegment(s, d, limit)
	return news, fresh, ignored
}

// addSegment adds a TCP segment. It returns what is new, and how many bytes are.
func (c *Conn) addSegment(seg *segment, d Direction, limit int) (news News, fresh int) {
	s, peer := &c.sides[d], &c.sides[1-d]
	if seg.flags&flagRST != 0 {
		if c.ends(seg, d) {
			c.state |= stateOver
			news = Reset
		}
		return news, 0
	}
	if seg.flags&flagACK != 0 && !peer.known && c.state&stateUnsure == 0 {
		peer.base, peer.known = seg.ack, true
	}
	switch {
	case s.known:
	case d == Reply && c.state&(stateUnsure|stateBoth) == stateUnsure:
		return 0, 0 // of an earlier connection with the same ports
	case seg.flags&flagSYN != 0:
		s.base, s.known = seg.seq+1, true
	case len(seg.body) > 0: // a keep-alive without data has another sequence number
		s.base, s.known = seg.seq, true
	default:
		return 0, 0
	}
	at, had := s.offset(seg), len(s.data)
	if s.contradicts(seg) {
		return Conflict, 0
	}
	fresh, same := s.add(at, seg.body, limit)
	if !same {
		return Conflict, 0
	}
	if end := at + len(seg.body); seg.flags&flagFIN != 0 && !s.ended && end >= had {
		s.fin, s.ended = int32(end), true
	}
	if len(s.data) > had {
		news |= Data
	}
	if s.ended && !s.done && len(s.data) == int(s.fin) {
		s.done = true
		news |= Finished
	}
	return news, fresh
}

// contradicts reports whether a segment has bytes behind the end of the stream, or ends it
// elsewhere than another, or before bytes that are known.
func (s *side) contradicts(seg *segment) bool {
	end, fin := s.offset(seg)+len(seg.body), seg.flags&flagFIN != 0
	if s.ended && (end > int(s.fin) && len(seg.body) > 0 || fin && end != int(s.fin)) {
		return true
	}
	return fin && end < len(s.data)
}

// ends reports whether a TCP reset ends the connection: the receiver ignores one that is
// not where it waits for the next byte (RFC 5961 section 3.2), unless it is the answer to a SYN.
func (c *Conn) ends(seg *segment, d Direction) bool {
	s, peer := &c.sides[d], &c.sides[1-d]
	if s.known {
		return s.offset(seg) == len(s.data)
	}
	acked := int(int32(seg.ack - peer.base))
	return seg.flags&flagACK != 0 && peer.known && acked >= 0 && acked <= len(peer.data)
}

// addDatagram adds the body of a packet.
func (c *Conn) addDatagram(body []byte, d Direction, limit int) News {
	s := &c.sides[d]
	if room := limit - len(s.data); len(body) > room {
		body = body[:room]
		c.state |= stateCut
	}
	s.extend(body)
	s.ends = append(s.ends, len(s.data))
	return Data
}
