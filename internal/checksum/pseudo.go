// SPDX-License-Identifier: GPL-2.0-or-later

package checksum

import "encoding/binary"

// PseudoIPv4 returns the sum of the IPv4 pseudo-header (RFC 9293 section 3.1)
// for [Add] to continue. Length counts the transport header and its data in
// bytes; one above 65535 is added whole, as the kernel does for BIG TCP.
func PseudoIPv4(src, dst [4]byte, protocol uint8, length uint32) uint64 {
	return uint64(binary.BigEndian.Uint32(src[:])) + uint64(binary.BigEndian.Uint32(dst[:])) +
		uint64(protocol) + uint64(length)
}

// PseudoIPv6 returns the sum of the IPv6 pseudo-header (RFC 8200 section 8.1)
// for [Add] to continue. Dst is the final destination, protocol the
// upper-layer protocol, and length counts the upper-layer header and its data
// in bytes.
func PseudoIPv6(src, dst [16]byte, protocol uint8, length uint32) uint64 {
	return Add(Add(uint64(protocol)+uint64(length), src[:]), dst[:])
}
