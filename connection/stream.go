// SPDX-License-Identifier: GPL-2.0-or-later

package connection

import (
	"bytes"
	"reflect"
	"slices"
)

// stream puts one direction of a TCP connection together. Offsets count from its first
// byte. The first copy of a byte wins.
type stream struct {
	data  []byte  // what is contiguous
	ahead []piece // what is behind a gap: in order, with a gap before each
	// borrowed means that data lies in the packet, and must be copied to be kept.
	borrowed bool
}

// piece is a part of a stream.
type piece struct {
	at   int
	data []byte
}

func (p piece) end() int { return p.at + len(p.data) }

// add adds the bytes b at an offset. It returns how many bytes are new, and reports
// false, and adds nothing, if a byte differs from the copy that the stream has. Bytes
// before the stream and at limit or behind are left out. b is kept only in borrowed data.
func (s *stream) add(at int, b []byte, limit int) (fresh int, same bool) {
	if at < 0 {
		b = b[min(-at, len(b)):]
		at = 0
	}
	b = b[:max(min(len(b), limit-at), 0)]
	if len(b) == 0 {
		return 0, true
	}
	end := at + len(b)
	if !sameBytes(piece{0, s.data}, piece{at, b}) {
		return 0, false
	}
	known := max(min(len(s.data), end)-at, 0)
	first, last := len(s.ahead), 0 // the pieces that b touches
	for i, p := range s.ahead {
		if p.at > end || p.end() < at {
			continue
		}
		if !sameBytes(p, piece{at, b}) {
			return 0, false
		}
		known += min(p.end(), end) - max(p.at, at)
		first, last = min(first, i), i+1
	}
	switch fresh = len(b) - known; {
	case fresh == 0:
	case at <= len(s.data):
		s.extend(b[len(s.data)-at:])
		for i := first; i < last; i++ {
			if p := s.ahead[i]; p.end() > len(s.data) {
				s.extend(p.data[len(s.data)-p.at:])
			}
		}
		s.ahead = slices.Delete(s.ahead, 0, last) // all before are contiguous by now
	case first >= last:
		i, _ := slices.BinarySearchFunc(s.ahead, at, func(p piece, at int) int { return p.at - at })
		s.ahead = slices.Insert(s.ahead, i, piece{at, bytes.Clone(b)})
	default:
		merged := make([]byte, max(end, s.ahead[last-1].end())-min(at, s.ahead[first].at))
		joined := piece{min(at, s.ahead[first].at), merged}
		copy(merged[at-joined.at:], b)
		for _, p := range s.ahead[first:last] {
			copy(merged[p.at-joined.at:], p.data)
		}
		s.ahead = slices.Replace(s.ahead, first, last, joined)
	}
	return fresh, true
}

// extend appends to data, and borrows what comes first.
func (s *stream) extend(b []byte) {
	if len(s.data) == 0 {
		s.data, s.borrowed = slices.Clip(b), true
		return
	}
	s.keep()
	s.data = append(s.data, b...)
}

// keep gives data memory of its own.
func (s *stream) keep() {
	if s.borrowed {
		s.data, s.borrowed = bytes.Clone(s.data), false
	}
}

// memory returns how many bytes the stream takes beside its own.
func (s *stream) memory() (n int) {
	n = cap(s.data) + cap(s.ahead)*int(reflect.TypeFor[piece]().Size())
	for _, p := range s.ahead {
		n += cap(p.data)
	}
	return n
}

// sameBytes reports whether p and q have the same bytes where they overlap.
func sameBytes(p, q piece) bool {
	from, to := max(p.at, q.at), min(p.end(), q.end())
	return from >= to || bytes.Equal(p.data[from-p.at:to-p.at], q.data[from-q.at:to-q.at])
}
