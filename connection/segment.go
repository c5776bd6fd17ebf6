// SPDX-License-Identifier: GPL-2.0-or-later

package connection

import (
	"encoding/binary"

	"github.com/chifflier/nfqueue-go"
)

// The flags of a TCP header (RFC 9293 section 3.1).
const (
	flagFIN = 1 << iota
	flagSYN
	flagRST
	_ // PSH
	flagACK
	flagURG
)

// segment is the part of a packet that a connection carries. Of protocols other than TCP
// only the body is set.
type segment struct {
	body     []byte
	seq, ack uint32
	flags    uint8
	cut      bool // there is more in body that was not copied
}

// newSegment reads a packet that holds its whole transport header.
func newSegment(t *nfqueue.Transport) segment {
	s := segment{body: t.Body, cut: t.Truncated}
	if t.Protocol == nfqueue.TCP {
		s.seq, s.ack = binary.BigEndian.Uint32(t.Header[4:]), binary.BigEndian.Uint32(t.Header[8:])
		s.flags = t.Header[13]
	}
	return s
}

// end returns the sequence number behind the last byte.
func (s *segment) end() uint32 {
	end := s.seq + uint32(len(s.body))
	if s.flags&flagSYN != 0 {
		end++
	}
	if s.flags&flagFIN != 0 {
		end++
	}
	return end
}

// notOfThis reports whether the data of a segment of the original direction, or its FIN, may be
// of an earlier connection with the same ports, which the server still has: it comes before the
// beginning, the server has yet to acknowledge the SYN, or the segment acknowledges what the
// server has not sent.
func (c *Conn) notOfThis(s *segment, d Direction) bool {
	if len(s.body) == 0 && s.flags&flagFIN == 0 || d == Reply || c.state&stateSYN == 0 ||
		s.flags&flagRST != 0 {
		return false
	}
	side, peer := &c.sides[d], &c.sides[1-d]
	return c.state&stateUnsure != 0 || side.known && side.offset(s) < 0 ||
		c.state&stateAgreed != 0 && (int32(s.ack-peer.base) < 0 || int32(s.ack-peer.top) > 0)
}

// withoutUrgent has the receiver of a segment take all bytes for ordinary ones. A socket does
// not give out the urgent byte with the others unless told to (SO_OOBINLINE), so its program
// would read something else than the handler. It reports false if that cannot be done.
func withoutUrgent(p *nfqueue.Packet) bool {
	t, ok := p.Transport()
	if !ok {
		return false
	}
	t.Header[13] &^= flagURG
	t.Header[18], t.Header[19] = 0, 0
	return p.SetBody(t.Body) == nil
}

// mayBeIgnored reports whether the receiver of a segment may ignore its data, or its FIN, so
// that other data could come in its place: the data of a SYN unless it knows Fast Open
// (RFC 7413), and always that without an ACK, or with a SYN in the middle (RFC 9293 section
// 3.10.7.4).
func (s *segment) mayBeIgnored(d Direction) bool {
	return (len(s.body) > 0 || s.flags&flagFIN != 0) && s.flags&flagRST == 0 &&
		(s.flags&flagACK == 0 || s.flags&flagSYN != 0 && d == Original)
}
