// SPDX-License-Identifier: GPL-2.0-or-later

package checksum

import (
	"encoding/binary"
	"testing"
)

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
