// SPDX-License-Identifier: GPL-2.0-or-later

// Package checksum computes the checksums that IP packets carry: the Internet
// checksum (RFC 1071) with the IPv4 and IPv6 pseudo-headers, and the CRC32c of
// SCTP. Nothing in it allocates, and every function is safe for concurrent use.
package checksum

import (
	"encoding/binary"
	"math/bits"
)

// Add returns sum plus the ones' complement sum of the big-endian 16-bit words
// of b. Start with a sum of 0 or a pseudo-header sum and end with [Fold].
//
// A b of odd length is summed as if a zero byte followed, so only the last of
// several pieces may be odd. Up to 2^47 calls may be chained.
func Add(sum uint64, b []byte) uint64 {
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
