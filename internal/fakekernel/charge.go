// SPDX-License-Identifier: GPL-2.0-or-later

package fakekernel

import "math/bits"

// The kernel charges the memory of a message (skb->truesize) to the receive buffer of its socket.
// These are the sizes on x86-64.
const (
	// chargeSmall is for the smallest buffer, which holds a reply, a message
	// without a payload, or one with a payload of up to 130 bytes.
	chargeSmall = smallHead + skbOverhead
	smallHead   = 576
	skbOverhead = 256
	// messageHead is the room for everything except the payload. The kernel reserves it for all
	// attributes that a packet could have.
	messageHead = 446
	// largestLinear is the size of the largest packet that is copied into one piece of memory. The
	// pages of a larger one are attached to the message, which is charged their length.
	largestLinear = 16064
	pagedHead     = 804
)

// charge returns the charge for a PACKET message with n bytes of payload and of attributes of
// variable length.
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
