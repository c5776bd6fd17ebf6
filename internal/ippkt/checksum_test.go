// SPDX-License-Identifier: GPL-2.0-or-later

package ippkt

import (
	"encoding/binary"
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

func TestSumRFC1071Example(t *testing.T) {
	// RFC 1071 section 3.
	b := []byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}
	if got := Fold(Sum(0, b)); got != 0xddf2 {
		t.Errorf("Fold(Add) = %#04x, want 0xddf2", got)
	}
}

func TestSumEveryLengthAndOffset(t *testing.T) {
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
				if got, want := Fold(Sum(0, b)), naive(b); got != want {
					t.Fatalf("%s: offset %d, length %d: %#04x, want %#04x", name, offset, n, got, want)
				}
			}
		}
	}
}

func TestSumLarge(t *testing.T) {
	b := random(1 << 20)
	for _, n := range []int{65531, 65535, 65536, 1<<20 - 1, 1 << 20} {
		if got, want := Fold(Sum(0, b[:n])), naive(b[:n]); got != want {
			t.Errorf("length %d: %#04x, want %#04x", n, got, want)
		}
	}
}

func TestSumInPieces(t *testing.T) {
	b := random(301)
	want := naive(b)
	for i := 0; i <= len(b); i += 2 {
		for j := i; j <= len(b); j += 2 {
			sum := Sum(Sum(Sum(0, b[:i]), b[i:j]), b[j:])
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

func FuzzSum(f *testing.F) {
	f.Add([]byte{}, uint8(0))
	f.Add([]byte{0xff}, uint8(0))
	f.Add(random(77), uint8(3))
	f.Fuzz(func(t *testing.T, b []byte, cut uint8) {
		want := naive(b)
		if got := Fold(Sum(0, b)); got != want {
			t.Fatalf("%#04x, want %#04x", got, want)
		}
		i := min(int(cut)&^1, len(b))
		if got := Fold(Sum(Sum(0, b[:i]), b[i:])); got != want {
			t.Fatalf("cut at %d: %#04x, want %#04x", i, got, want)
		}
	})
}

func TestChecksumNoAllocations(t *testing.T) {
	b := random(1501)
	var sink uint64
	if n := testing.AllocsPerRun(100, func() {
		sink += Sum(PseudoIPv4([4]byte(b), [4]byte(b[4:]), 6, 1501), b)
		sink += Sum(PseudoIPv6([16]byte(b), [16]byte(b[16:]), 6, 1501), b)
		sink += uint64(CRC32c(b))
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// The pseudo-headers written out as bytes, which is how the RFCs draw them.

func TestPseudoIPv4(t *testing.T) {
	r := random(8)
	src, dst := [4]byte(r), [4]byte(r[4:])
	for _, length := range []uint32{0, 8, 1480, 65515, 65535} {
		b := append(append([]byte{}, src[:]...), dst[:]...)
		b = append(b, 0, 17)
		b = binary.BigEndian.AppendUint16(b, uint16(length))
		if got, want := Fold(PseudoIPv4(src, dst, 17, length)), naive(b); got != want {
			t.Errorf("length %d: %#04x, want %#04x", length, got, want)
		}
	}
}

func TestPseudoIPv6(t *testing.T) {
	r := random(32)
	src, dst := [16]byte(r), [16]byte(r[16:])
	for _, length := range []uint32{0, 8, 1480, 65535, 65536, 200000} {
		b := append(append([]byte{}, src[:]...), dst[:]...)
		b = binary.BigEndian.AppendUint32(b, length)
		b = append(b, 0, 0, 0, 58)
		if got, want := Fold(PseudoIPv6(src, dst, 58, length)), naive(b); got != want {
			t.Errorf("length %d: %#04x, want %#04x", length, got, want)
		}
	}
}

// naiveCRC32c is the reflected CRC32c bit by bit (polynomial 0x1EDC6F41).
func naiveCRC32c(b []byte) uint32 {
	crc := ^uint32(0)
	for _, c := range b {
		crc ^= uint32(c)
		for range 8 {
			if crc&1 != 0 {
				crc = crc>>1 ^ 0x82f63b78
			} else {
				crc >>= 1
			}
		}
	}
	return ^crc
}

func TestNaiveCRC32c(t *testing.T) {
	// RFC 3720 appendix B.4, which lists the bytes as they are sent.
	up := make([]byte, 32)
	for i := range up {
		up[i] = byte(i)
	}
	for _, tt := range []struct {
		name string
		b    []byte
		wire [4]byte
	}{
		{"zeros", make([]byte, 32), [4]byte{0xaa, 0x36, 0x91, 0x8a}},
		{"incrementing", up, [4]byte{0x4e, 0x79, 0xdd, 0x46}},
	} {
		var got [4]byte
		binary.LittleEndian.PutUint32(got[:], naiveCRC32c(tt.b))
		if got != tt.wire {
			t.Errorf("%s: % x, want % x", tt.name, got, tt.wire)
		}
	}
}

func TestCRC32cWireBytes(t *testing.T) {
	// The all-zero packet of RFC 3720 appendix B.4: the field is skipped, so
	// filling it must not change the answer.
	b := make([]byte, 32)
	copy(b[8:], "junk")
	var got [4]byte
	binary.LittleEndian.PutUint32(got[:], CRC32c(b))
	if want := [4]byte{0xaa, 0x36, 0x91, 0x8a}; got != want {
		t.Errorf("% x, want % x", got, want)
	}
}

func TestCRC32cEveryLength(t *testing.T) {
	buf := random(2048)
	for n := 12; n <= len(buf); n++ {
		want := append([]byte{}, buf[:n]...)
		clear(want[8:12])
		if got, want := CRC32c(buf[:n]), naiveCRC32c(want); got != want {
			t.Fatalf("length %d: %#08x, want %#08x", n, got, want)
		}
	}
}
