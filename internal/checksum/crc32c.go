// SPDX-License-Identifier: GPL-2.0-or-later

package checksum

import "hash/crc32"

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	// zeros stands for the checksum field. It is not on the stack because the
	// CPU's CRC code is called through a variable, which would make it escape.
	zeros [4]byte
)

// SCTP returns the CRC32c (RFC 9260 appendix A) of packet, which starts at the
// SCTP common header; its checksum field, bytes 8 to 11, counts as zero
// whatever it holds. Unlike every other field the result goes there in little
// endian order. It panics when packet is shorter than the 12-byte header.
func SCTP(packet []byte) uint32 {
	crc := crc32.Update(0, castagnoli, packet[:8])
	crc = crc32.Update(crc, castagnoli, zeros[:])
	return crc32.Update(crc, castagnoli, packet[12:])
}
