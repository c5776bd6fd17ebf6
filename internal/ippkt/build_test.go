// SPDX-License-Identifier: GPL-2.0-or-later

package ippkt

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"testing"
)

// Packets for the tests are put together here byte by byte, and checked with
// the slow sums below, so that no test leans on the code under test.

var (
	addr4A = netip.MustParseAddr("192.0.2.1")
	addr4B = netip.MustParseAddr("198.51.100.77")
	addr4C = netip.MustParseAddr("203.0.113.200")
	addr6A = netip.MustParseAddr("2001:db8::1")
	addr6B = netip.MustParseAddr("2001:db8:1:2:3:4:5:6")
	addr6C = netip.MustParseAddr("2001:db8:ffff::fffe")
)

func cat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// ip4 returns an IPv4 packet with a correct total length and a wrong header
// checksum. Frag is the word with the flags and the fragment offset.
func ip4(protocol uint8, frag uint16, options []byte, payload ...[]byte) []byte {
	data := cat(payload...)
	h := make([]byte, 20, 20+len(options)+len(data))
	h[0] = 0x40 | uint8(5+len(options)/4)
	binary.BigEndian.PutUint16(h[2:], uint16(20+len(options)+len(data)))
	binary.BigEndian.PutUint16(h[4:], 0xbeef)
	binary.BigEndian.PutUint16(h[6:], frag)
	h[8], h[9] = 64, protocol
	copy(h[12:], addr4A.AsSlice())
	copy(h[16:], addr4B.AsSlice())
	return append(append(h, options...), data...)
}

// ip6 returns an IPv6 packet with a correct payload length.
func ip6(next uint8, payload ...[]byte) []byte {
	data := cat(payload...)
	h := make([]byte, 40, 40+len(data))
	h[0] = 0x60
	binary.BigEndian.PutUint16(h[4:], uint16(len(data)))
	h[6], h[7] = next, 64
	copy(h[8:], addr6A.AsSlice())
	copy(h[24:], addr6B.AsSlice())
	return append(h, data...)
}

// ext returns an IPv6 extension header with the common length field.
func ext(next Protocol, body ...byte) []byte {
	b := append([]byte{uint8(next), 0}, body...)
	for len(b)%8 != 0 {
		b = append(b, 0)
	}
	b[1] = uint8(len(b)/8 - 1)
	return b
}

func frag6(next uint8, offset uint16, more bool, id uint32) []byte {
	b := make([]byte, 8)
	b[0] = next
	if more {
		offset |= 1
	}
	binary.BigEndian.PutUint16(b[2:], offset)
	binary.BigEndian.PutUint32(b[4:], id)
	return b
}

func tcp(src, dst uint16, data ...byte) []byte {
	h := make([]byte, 20)
	binary.BigEndian.PutUint16(h[0:], src)
	binary.BigEndian.PutUint16(h[2:], dst)
	h[12] = 5 << 4
	return append(h, data...)
}

func udp(src, dst uint16, data ...byte) []byte {
	h := make([]byte, 8)
	binary.BigEndian.PutUint16(h[0:], src)
	binary.BigEndian.PutUint16(h[2:], dst)
	binary.BigEndian.PutUint16(h[4:], uint16(8+len(data)))
	return append(h, data...)
}

func icmp(typ, code uint8, id uint16, data ...byte) []byte {
	h := []byte{typ, code, 0, 0, 0, 0, 0, 1}
	binary.BigEndian.PutUint16(h[4:], id)
	return append(h, data...)
}

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8 + 3)
	}
	return b
}

// slowSum is the Internet checksum's sum, one word at a time.
func slowSum(b []byte) uint16 {
	var sum uint32
	for i, c := range b {
		if i%2 == 0 {
			sum += uint32(c) << 8
		} else {
			sum += uint32(c)
		}
		if sum > 0xffff {
			sum -= 0xffff
		}
	}
	return uint16(sum)
}

// slowPseudo is a pseudo-header as the RFCs draw it. The IPv4 one has 16 bits
// for the length; the wider field adds up to the same.
func slowPseudo(src, dst netip.Addr, protocol uint8, length int) []byte {
	b := cat(src.AsSlice(), dst.AsSlice())
	b = binary.BigEndian.AppendUint32(b, uint32(length))
	return append(b, 0, 0, 0, protocol)
}

// checkIPv4Header fails unless the length and the checksum of b are right.
func checkIPv4Header(t *testing.T, b []byte) {
	t.Helper()
	if got := int(binary.BigEndian.Uint16(b[2:])); got != len(b) {
		t.Errorf("total length %d, want %d", got, len(b))
	}
	if got := slowSum(b[:int(b[0]&0xf)*4]); got != 0xffff {
		t.Errorf("the IPv4 header sums up to %#04x, want 0xffff", got)
	}
}

// checkSum fails unless the checksum in transport, with the pseudo-header
// given, is right. Cover is how many bytes it covers.
func checkSum(t *testing.T, pseudo, transport []byte, cover int) {
	t.Helper()
	if got := slowSum(cat(pseudo, transport[:cover])); got != 0xffff {
		t.Errorf("pseudo-header and data sum up to %#04x, want 0xffff", got)
	}
}

func mustComplete(t *testing.T, b []byte) {
	t.Helper()
	if err := Complete(b); err != nil {
		t.Fatalf("Complete: %v\n%x", err, b)
	}
}
