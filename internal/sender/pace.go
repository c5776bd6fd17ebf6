// SPDX-License-Identifier: GPL-2.0-or-later

package sender

import "time"

// Pace decides after how many packets the clock is read, which costs a third of what is done
// for a packet in user mode. Handlers that take long are timed one by one; the
// watchdog notices one that suddenly does.
type Pace struct {
	stride, passed int
}

// maxStride leaves a sixteenth of the cost.
const maxStride = 16

// Due counts a packet and reports whether to read the clock now.
func (p *Pace) Due() bool {
	p.passed++
	return p.passed >= p.stride
}

// Measured says how long the packets since the clock was last read took.
func (p *Pace) Measured(d, bound time.Duration) {
	p.passed = 0
	if d > bound/maxStride {
		p.stride = 1
	} else {
		p.stride = min(2*max(p.stride, 1), maxStride)
	}
}
