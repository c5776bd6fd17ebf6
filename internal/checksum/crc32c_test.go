// SPDX-License-Identifier: GPL-2.0-or-later

package checksum

import (
	"encoding/binary"
	"testing"
)

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

func TestSCTPWireBytes(t *testing.T) {
	// The all-zero packet of RFC 3720 appendix B.4: the field is skipped, so
	// filling it must not change the answer.
	b := make([]byte, 32)
	copy(b[8:], "junk")
	var got [4]byte
	binary.LittleEndian.PutUint32(got[:], SCTP(b))
	if want := [4]byte{0xaa, 0x36, 0x91, 0x8a}; got != want {
		t.Errorf("% x, want % x", got, want)
	}
}

func TestSCTPEveryLength(t *testing.T) {
	buf := random(2048)
	for n := 12; n <= len(buf); n++ {
		want := append([]byte{}, buf[:n]...)
		clear(want[8:12])
		if got, want := SCTP(buf[:n]), naiveCRC32c(want); got != want {
			t.Fatalf("length %d: %#08x, want %#08x", n, got, want)
		}
	}
}
