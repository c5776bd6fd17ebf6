// SPDX-License-Identifier: GPL-2.0-or-later

package ippkt

import (
	"encoding/binary"
	"hash/crc32"
	"math/bits"
)

// Sum returns sum plus the ones' complement sum of the big-endian 16-bit words
// of b. Start with a sum of 0 or a pseudo-header sum and end with [Fold].
//
// A b of odd length is summed as if a zero byte followed, so only the last of
// several pieces may be odd. Up to 2^47 calls may be chained.
func Sum(sum uint64, b []byte) uint64 {
	// The sum does not depend on the byte order in which the words are added,
	// but for the order of its own two bytes (RFC 1071 section 2(B)): add wide
	// words as the CPU loads them, and put the result right once.
	var acc, carry uint64
	for len(b) >= 64 {
		acc, carry = bits.Add64(acc, binary.NativeEndian.Uint64(b[0:8]), carry)
		acc, carry = bits.Add64(acc, binary.NativeEndian.Uint64(b[8:16]), carry)
		acc, carry = bits.Add64(acc, binary.NativeEndian.Uint64(b[16:24]), carry)
		acc, carry = bits.Add64(acc, binary.NativeEndian.Uint64(b[24:32]), carry)
		acc, carry = bits.Add64(acc, binary.NativeEndian.Uint64(b[32:40]), carry)
		acc, carry = bits.Add64(acc, binary.NativeEndian.Uint64(b[40:48]), carry)
		acc, carry = bits.Add64(acc, binary.NativeEndian.Uint64(b[48:56]), carry)
		acc, carry = bits.Add64(acc, binary.NativeEndian.Uint64(b[56:64]), carry)
		b = b[64:]
	}
	for len(b) >= 8 {
		acc, carry = bits.Add64(acc, binary.NativeEndian.Uint64(b), carry)
		b = b[8:]
	}
	if len(b) >= 4 {
		acc, carry = bits.Add64(acc, uint64(binary.NativeEndian.Uint32(b)), carry)
		b = b[4:]
	}
	if len(b) >= 2 {
		acc, carry = bits.Add64(acc, uint64(binary.NativeEndian.Uint16(b)), carry)
		b = b[2:]
	}
	if len(b) == 1 {
		acc, carry = bits.Add64(acc, uint64(binary.NativeEndian.Uint16([]byte{b[0], 0})), carry)
	}
	acc += carry // cannot carry again: acc and carry never add up to 2^64

	var word [2]byte
	binary.NativeEndian.PutUint16(word[:], Fold(acc))
	return sum + uint64(binary.BigEndian.Uint16(word[:]))
}

// Fold reduces sum to 16 bits, carries added back in. The checksum to put in a
// header is its complement, ^Fold(sum), in network byte order. Over data that
// holds a correct checksum the result is 0xffff.
func Fold(sum uint64) uint16 {
	sum = sum>>32 + sum&0xffffffff
	sum = sum>>32 + sum&0xffffffff
	sum = sum>>16 + sum&0xffff
	sum = sum>>16 + sum&0xffff
	return uint16(sum)
}

// PseudoIPv4 returns the sum of the IPv4 pseudo-header (RFC 9293 section 3.1)
// for [Sum] to continue. Length counts the transport header and its data in
// bytes; one above 65535 is added whole, as the kernel does for BIG TCP.
func PseudoIPv4(src, dst [4]byte, protocol Protocol, length uint32) uint64 {
	return uint64(binary.BigEndian.Uint32(src[:])) + uint64(binary.BigEndian.Uint32(dst[:])) +
		uint64(protocol) + uint64(length)
}

// PseudoIPv6 returns the sum of the IPv6 pseudo-header (RFC 8200 section 8.1)
// for [Sum] to continue. Dst is the final destination, protocol the
// upper-layer protocol, and length counts the upper-layer header and its data
// in bytes.
func PseudoIPv6(src, dst [16]byte, protocol Protocol, length uint32) uint64 {
	return Sum(Sum(uint64(protocol)+uint64(length), src[:]), dst[:])
}

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	// zeros stands for the checksum field. It is not on the stack because the
	// CPU's CRC code is called through a variable, which would make it escape.
	zeros [4]byte
)

// CRC32c returns the CRC32c (RFC 9260 appendix A) of packet, which starts at the
// SCTP common header; its checksum field, bytes 8 to 11, counts as zero
// whatever it holds. Unlike every other field the result goes there in little
// endian order. It panics when packet is shorter than the 12-byte header.
func CRC32c(packet []byte) uint32 {
	crc := crc32.Update(0, castagnoli, packet[:8])
	crc = crc32.Update(crc, castagnoli, zeros[:])
	return crc32.Update(crc, castagnoli, packet[12:])
}
