// SPDX-License-Identifier: GPL-2.0-or-later

package connection

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// put is a segment: data at an offset.
type put struct {
	at   int
	data string
}

func TestStream(t *testing.T) {
	for _, c := range []struct {
		name     string
		puts     []put
		want     string // what is contiguous in the end
		conflict int    // which put is refused, counting from 1
	}{
		{"in order", []put{{0, "ab"}, {2, "cd"}}, "abcd", 0},
		{"out of order", []put{{2, "cd"}, {0, "ab"}}, "abcd", 0},
		{"a gap remains", []put{{0, "ab"}, {3, "d"}}, "ab", 0},
		{"sent again", []put{{0, "ab"}, {0, "ab"}, {2, "cd"}}, "abcd", 0},
		{"sent again with more", []put{{0, "ab"}, {0, "abcd"}}, "abcd", 0},
		{"overlap behind", []put{{0, "abc"}, {2, "cde"}}, "abcde", 0},
		{"overlap before a gap", []put{{4, "ef"}, {2, "cdef"}, {0, "ab"}}, "abcdef", 0},
		{"covers pieces", []put{{2, "c"}, {4, "e"}, {6, "g"}, {1, "bcdefg"}, {0, "a"}}, "abcdefg", 0},
		{"joins pieces", []put{{2, "c"}, {4, "e"}, {3, "d"}, {0, "ab"}}, "abcde", 0},
		{"covers all", []put{{2, "c"}, {4, "e"}, {0, "abcdef"}}, "abcdef", 0},
		{"reaches into a piece", []put{{3, "def"}, {0, "abcd"}}, "abcdef", 0},
		{"before the beginning", []put{{-2, "xyab"}, {-9, "old"}, {2, "c"}}, "abc", 0},
		{"at the limit", []put{{14, "opqrst"}, {0, "abcdefghijklmn"}, {16, "more"}}, "abcdefghijklmnop",
			0},
		{"other bytes", []put{{0, "abc"}, {1, "Xcd"}, {3, "d"}}, "abcd", 2},
		{"other bytes ahead", []put{{2, "cd"}, {0, "abX"}, {0, "ab"}}, "abcd", 2},
		{"other bytes in the second piece", []put{{2, "c"}, {4, "e"}, {1, "bcdX"}, {0, "abcd"}}, "abcde",
			3},
		{"empty", []put{{0, ""}, {5, ""}}, "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s stream
			for i, p := range c.puts {
				b := []byte(p.data)
				if _, same := s.add(p.at, b, 16); same == (i+1 == c.conflict) {
					t.Errorf("put %d: same bytes %v", i+1, same)
				}
				s.keep()
				clear(b) // the stream has its own
			}
			if string(s.data) != c.want {
				t.Errorf("%q, want %q", s.data, c.want)
			}
		})
	}
}

// naive keeps every byte for itself.
type naive [32]struct {
	b     byte
	known bool
}

func (n *naive) add(at int, data []byte, limit int) (fresh int, same bool) {
	for i, b := range data {
		if p := at + i; p >= 0 && p < limit && n[p].known && n[p].b != b {
			return 0, false
		}
	}
	for i, b := range data {
		if p := at + i; p >= 0 && p < limit && !n[p].known {
			n[p].b, n[p].known = b, true
			fresh++
		}
	}
	return fresh, true
}

func (n *naive) contiguous() (b []byte) {
	for i := 0; i < len(n) && n[i].known; i++ {
		b = append(b, n[i].b)
	}
	return b
}

// FuzzStream compares with a model that keeps each byte for itself. Three bytes of input
// are a segment: offset, length, and what its bytes are.
func FuzzStream(f *testing.F) {
	f.Add([]byte{8, 4, 0, 4, 4, 0, 0, 12, 0})
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		b := make([]byte, 3*(1+r.IntN(12)))
		for i := range b {
			b[i] = byte(r.Uint32())
			if i%3 == 2 && r.IntN(8) > 0 {
				b[i] = 0
			}
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		const limit = 32
		var s stream
		var n naive
		for ; len(in) >= 3; in = in[3:] {
			at := int(in[0]%40) - 4
			data := make([]byte, in[1]%12)
			for i := range data {
				data[i] = byte(at + i)
			}
			if in[2]%4 == 1 && len(data) > 0 {
				data[int(in[2]/4)%len(data)] ^= 0x80
			}
			fresh, same := s.add(at, data, limit)
			s.keep()
			wantFresh, wantSame := n.add(at, data, limit)
			clear(data)
			if fresh != wantFresh || same != wantSame {
				t.Fatalf("%d new, same %v; want %d, %v", fresh, same, wantFresh, wantSame)
			}
			if !bytes.Equal(s.data, n.contiguous()) {
				t.Fatalf("%x, want %x", s.data, n.contiguous())
			}
			end := len(s.data)
			for _, p := range s.ahead {
				if p.at <= end || len(p.data) == 0 {
					t.Fatalf("piece at %d behind %d: %v", p.at, end, s.ahead)
				}
				for i, b := range p.data {
					if !n[p.at+i].known || n[p.at+i].b != b {
						t.Fatalf("byte %d is %x", p.at+i, b)
					}
				}
				end = p.end()
			}
		}
	})
}
