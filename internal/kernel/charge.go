// SPDX-License-Identifier: GPL-2.0-or-later

package kernel

import "runtime"

// Charge returns the most that the kernel charges an unread queued packet to the socket's receive
// buffer (skb->truesize), in bytes, on Linux 5.10 to 7.3: for up to 128 bytes of the packet, and
// for a full-size Ethernet frame. On s390x memory is rounded up to larger cache lines.
func Charge() (small, frame int) {
	if runtime.GOARCH == "s390x" {
		return 1536, 4352
	}
	return 1280, 2304
}

const (
	chargeGSO = 66335 // for the largest GSO packet

	// ReserveForGSO is what a receive buffer needs for GSO packets, on top of what it needs for
	// frames: two full TCP windows of 4 MiB, the usual upper bound of net.ipv4.tcp_wmem, in the
	// largest packets.
	ReserveForGSO = 128 * chargeGSO
)
