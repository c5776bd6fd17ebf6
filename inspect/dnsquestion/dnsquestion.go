// SPDX-License-Identifier: GPL-2.0-or-later

// Package dnsquestion reads the question of a DNS message (RFC 1035), over UDP or TCP.
package dnsquestion

import (
	"encoding/binary"
	"fmt"

	"github.com/chifflier/nfqueue-go/inspect"
)

// Question is the header and the question of a message.
type Question struct {
	// ID is what a response has in common with its query.
	ID uint16
	// Response means that the message answers the question.
	Response bool
	// Opcode is the kind of query, 0 for a standard one.
	Opcode uint8
	// Type and Class are those of the records that are asked for: 1 for A and for IN.
	Type, Class uint16
	// Len is the length in bytes of header and question; the answers follow.
	Len int

	name []byte // labels on the wire, with the empty one of the root
}

const (
	headerLen = 12
	maxLabel  = 63
	maxName   = 255 // on the wire
	prefixLen = 2   // RFC 1035 section 4.2.2
)

// Parse reads a whole message, as a UDP datagram holds it. Messages without a question
// are Other, and with several Malformed (RFC 9619). Nothing is allocated.
func Parse(message []byte) (q Question, status inspect.Status) {
	if len(message) < headerLen {
		return q, inspect.Other
	}
	flags := binary.BigEndian.Uint16(message[2:])
	q.ID, q.Response, q.Opcode = binary.BigEndian.Uint16(message), flags>>15 != 0, uint8(flags>>11&0xf)
	switch binary.BigEndian.Uint16(message[4:]) {
	case 0:
		return q, inspect.Other
	case 1:
	default:
		return q, inspect.Malformed
	}
	b := message[headerLen:]
	n := 0
	for {
		if n >= len(b) || b[n] > maxLabel { // nothing is before the name that it could refer to
			return q, inspect.Malformed
		}
		label := int(b[n])
		if n += 1 + label; n > maxName {
			return q, inspect.Malformed
		}
		if label == 0 {
			break
		}
	}
	if len(b) < n+4 {
		return q, inspect.Malformed
	}
	q.name = b[:n:n]
	q.Type, q.Class = binary.BigEndian.Uint16(b[n:]), binary.BigEndian.Uint16(b[n+2:])
	q.Len = headerLen + n + 4
	return q, inspect.Complete
}

// ParseStream reads the message that a TCP stream begins with, behind its length. When the
// message is there, n is how many bytes it takes; the next one follows.
func ParseStream(stream []byte) (q Question, n int, status inspect.Status) {
	if len(stream) < prefixLen {
		return q, 0, inspect.More
	}
	length := int(binary.BigEndian.Uint16(stream))
	if length < headerLen {
		return q, 0, inspect.Other
	}
	if len(stream)-prefixLen < length {
		return q, 0, inspect.More
	}
	n = prefixLen + length
	q, status = Parse(stream[prefixLen:n])
	return q, n, status
}

// Name returns the name as it is written, without the dot at the end: "www.example.org",
// and "." for the root. Dots and backslashes within labels have a backslash before them, what
// is not printable is three decimal digits behind one. The case is that of the message.
func (q *Question) Name() string { return string(q.AppendName(nil)) }

// AppendName appends Name to dst.
func (q *Question) AppendName(dst []byte) []byte {
	start := len(dst)
	for b := q.name; len(b) > 1; b = b[1+b[0]:] {
		if len(dst) > start {
			dst = append(dst, '.')
		}
		for _, c := range b[1 : 1+b[0]] {
			switch {
			case c == '.' || c == '\\':
				dst = append(dst, '\\', c)
			case c > ' ' && c < 0x7f:
				dst = append(dst, c)
			default:
				dst = fmt.Appendf(dst, `\%03d`, c)
			}
		}
	}
	if len(dst) == start {
		dst = append(dst, '.')
	}
	return dst
}
