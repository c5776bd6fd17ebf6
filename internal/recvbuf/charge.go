// SPDX-License-Identifier: GPL-2.0-or-later

// Package recvbuf knows how the kernel counts what waits in the receive buffer of a queue's socket.
package recvbuf

import "runtime"

// Charge returns what one unread message is charged to the receive buffer (skb->truesize),
// at most, on Linux 5.10 to 7.3: with up to 128 bytes of the packet, and with a full-size
// Ethernet frame. s390x rounds memory up to larger cache lines.
func Charge() (small, frame int) {
	if runtime.GOARCH == "s390x" {
		return 1536, 4352
	}
	return 1280, 2304
}

const (
	chargeGSO = 66335 // for the largest GSO packet

	// ForGSO is what the buffer holds on top of frames for the sake of GSO: two full TCP windows of 4 MiB, the usual
	// upper bound of net.ipv4.tcp_wmem, in the largest packets.
	ForGSO = 128 * chargeGSO
)
