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

// maxFramesBuffer bounds what a long queue asks for by itself: it is kernel memory, and a program
// that leaves more than 29000 frames unread is too slow for any buffer.
const maxFramesBuffer = 64 << 20

// FramesBuffer is the size of the receive buffer that n unread packets of no more than an Ethernet
// frame take, of each of which up to copied bytes are copied. It is at most 64 MiB.
func FramesBuffer(n, copied uint32) int {
	small, charge := Charge()
	if copied <= 128 {
		charge = small
	}
	return int(min(uint64(n)*uint64(charge), maxFramesBuffer))
}
