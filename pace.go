// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import "time"

// pace decides after how many packets the clock is read, which costs a third of
// what is done for a packet in user mode. Handlers that take long are timed one by
// one; one that suddenly does is the watchdog's to notice.
type pace struct {
	stride, passed int
}

// maxStride leaves a sixteenth of the cost.
const maxStride = 16

// due counts a packet and reports whether to read the clock now.
func (p *pace) due() bool {
	p.passed++
	return p.passed >= p.stride
}

// took says how long the packets since the clock was last read took.
func (p *pace) took(d, bound time.Duration) {
	p.passed = 0
	if d > bound/maxStride {
		p.stride = 1
	} else {
		p.stride = min(2*max(p.stride, 1), maxStride)
	}
}
