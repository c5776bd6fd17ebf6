// SPDX-License-Identifier: GPL-2.0-or-later

package consumer

import "time"

// Report is what a consumer says about its work.
type Report struct {
	// Packets is how many it has decided, Measured how many of them since the word to go, or the
	// end of the warm-up. All else is about these, until the last verdict had been sent.
	Packets  uint64        `json:"packets"`
	Measured uint64        `json:"measured"`
	Elapsed  time.Duration `json:"elapsed_ns"`
	// User and System are the processor time of the process.
	User   time.Duration `json:"user_ns"`
	System time.Duration `json:"system_ns"`
	// Mallocs is the number of allocations of a consumer in Go.
	Mallocs uint64 `json:"mallocs,omitempty"`
}

// Rate is the number of packets in a second, in thousands.
func (r Report) Rate() float64 { return float64(r.Measured) / r.Elapsed.Seconds() / 1e3 }

// PerPacket is the part of d that falls to a packet, in nanoseconds.
func (r Report) PerPacket(d time.Duration) float64 { return float64(d) / float64(r.Measured) }

// merge adds what another process has done at the same time.
func (r *Report) merge(other Report) {
	r.Packets += other.Packets
	r.Measured += other.Measured
	r.Elapsed = max(r.Elapsed, other.Elapsed)
	r.User += other.User
	r.System += other.System
	r.Mallocs += other.Mallocs
}
