// SPDX-License-Identifier: GPL-2.0-or-later

package checksum

import (
	"math/rand/v2"
	"testing"
)

// naive is RFC 1071 as it is written: one big-endian word at a time.
func naive(b []byte) uint16 {
	var sum uint32
	for i := 0; i < len(b); i++ {
		if i%2 == 0 {
			sum += uint32(b[i]) << 8
		} else {
			sum += uint32(b[i])
		}
		if sum > 0xffff {
			sum -= 0xffff
		}
	}
	return uint16(sum)
}

func random(n int) []byte {
	r := rand.NewChaCha8([32]byte{1})
	b := make([]byte, n)
	r.Read(b)
	return b
}

func TestAddRFC1071Example(t *testing.T) {
	// RFC 1071 section 3.
	b := []byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}
	if got := Fold(Add(0, b)); got != 0xddf2 {
		t.Errorf("Fold(Add) = %#04x, want 0xddf2", got)
	}
}

func TestAddEveryLengthAndOffset(t *testing.T) {
	const most, offsets = 2048, 9
	patterns := map[string][]byte{
		"random": random(most + offsets),
		"zeros":  make([]byte, most+offsets),
		"ones":   make([]byte, most+offsets), // every addition carries
	}
	for i := range patterns["ones"] {
		patterns["ones"][i] = 0xff
	}
	for name, buf := range patterns {
		for offset := range offsets {
			for n := range most + 1 {
				b := buf[offset : offset+n]
				if got, want := Fold(Add(0, b)), naive(b); got != want {
					t.Fatalf("%s: offset %d, length %d: %#04x, want %#04x", name, offset, n, got, want)
				}
			}
		}
	}
}

func TestAddLarge(t *testing.T) {
	b := random(1 << 20)
	for _, n := range []int{65531, 65535, 65536, 1<<20 - 1, 1 << 20} {
		if got, want := Fold(Add(0, b[:n])), naive(b[:n]); got != want {
			t.Errorf("length %d: %#04x, want %#04x", n, got, want)
		}
	}
}

func TestAddInPieces(t *testing.T) {
	b := random(301)
	want := naive(b)
	for i := 0; i <= len(b); i += 2 {
		for j := i; j <= len(b); j += 2 {
			sum := Add(Add(Add(0, b[:i]), b[i:j]), b[j:])
			if got := Fold(sum); got != want {
				t.Fatalf("pieces [:%d] [%d:%d] [%d:]: %#04x, want %#04x", i, i, j, j, got, want)
			}
		}
	}
}

func TestFold(t *testing.T) {
	for _, tt := range []struct {
		sum  uint64
		want uint16
	}{
		{0, 0},
		{0xffff, 0xffff},
		{0x10000, 1},
		{0x1ffff, 1}, // 1 + 0xffff carries a second time
		{0xffffffff, 0xffff},
		{0x1ffffffff, 1},
		{0xffffffff_00000001, 1},
		{0xffffffff_ffffffff, 0xffff},
		{0x0001_0002_0003_0004, 10},
	} {
		if got := Fold(tt.sum); got != tt.want {
			t.Errorf("Fold(%#x) = %#04x, want %#04x", tt.sum, got, tt.want)
		}
	}
}

func FuzzAdd(f *testing.F) {
	f.Add([]byte{}, uint8(0))
	f.Add([]byte{0xff}, uint8(0))
	f.Add(random(77), uint8(3))
	f.Fuzz(func(t *testing.T, b []byte, cut uint8) {
		want := naive(b)
		if got := Fold(Add(0, b)); got != want {
			t.Fatalf("%#04x, want %#04x", got, want)
		}
		i := min(int(cut)&^1, len(b))
		if got := Fold(Add(Add(0, b[:i]), b[i:])); got != want {
			t.Fatalf("cut at %d: %#04x, want %#04x", i, got, want)
		}
	})
}

func TestNoAllocations(t *testing.T) {
	b := random(1501)
	var sink uint64
	if n := testing.AllocsPerRun(100, func() {
		sink += Add(PseudoIPv4([4]byte(b), [4]byte(b[4:]), 6, 1501), b)
		sink += Add(PseudoIPv6([16]byte(b), [16]byte(b[16:]), 6, 1501), b)
		sink += uint64(SCTP(b))
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
