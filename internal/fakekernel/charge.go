// SPDX-License-Identifier: GPL-2.0-or-later

package fakekernel

import "math/bits"

// What a message is charged to the receive buffer of its socket is the memory that
// the kernel takes for it (skb->truesize). These sizes are those of x86-64.
const (
	// chargeSmall is for the smallest buffer, which holds a reply, a message
	// without a payload, or one with a payload of up to 130 bytes.
	chargeSmall = smallHead + skbOverhead
	smallHead   = 576
	skbOverhead = 256
	// messageHead is the room for everything but the payload: the kernel reckons
	// with all attributes that a packet could have.
	messageHead = 446
	// largestLinear is up to where a packet is copied into one piece of memory. The
	// pages of larger ones are attached, and charged by their length.
	largestLinear = 16064
	pagedHead     = 804
)

// charge returns what a PACKET message is charged with n bytes of payload and of
// attributes of unusual length.
func charge(n int) int {
	switch need := n + messageHead; {
	case need <= smallHead:
		return chargeSmall
	case n <= largestLinear:
		return 1<<bits.Len(uint(need-1)) + skbOverhead
	default:
		return n + pagedHead
	}
}
