// SPDX-License-Identifier: GPL-2.0-or-later

package impair

import (
	"math"
	"math/rand/v2"
	"time"
)

// Fate is what happens to a packet.
type Fate uint8

// The fates.
const (
	Pass Fate = iota // it goes on at Decision.At
	Lost             // it is dropped by chance
	Full             // it is dropped since Settings.Limit packets wait
)

// Decision is what happens to a packet, and when.
type Decision struct {
	Fate Fate
	// At is when the packet goes on, not before the time it was decided at.
	At time.Duration
	// Ahead says that it overtakes packets before it on purpose (Settings.Reorder).
	Ahead bool
	// Corrupt and Truncate say what is done to it, Random where.
	Corrupt, Truncate bool
	Random            uint64
}

// Engine decides the fate of packets, one after the other. The caller tells it the time.
// Engines with the same seed and stream decide alike: the random numbers for the n-th packet
// depend on n alone, and not on time or on the settings. The rate and the limit do depend on time.
//
// An Engine is not safe for concurrent use.
type Engine struct {
	settings Settings
	model    LossModel

	state, loss, delay, mixture, reorder, corrupt, truncate, where *rand.Rand

	bad       bool    // state of the loss model
	deviation float64 // of the last packet, in the standard normal distribution
	since     int     // packets since one went ahead

	last      time.Duration // when the last packet leaves that keeps the order
	free      time.Duration // when the link has sent all packets so far
	remainder uint64        // of free, in units of 1 ns / rate
}

// NewEngine makes an engine that does nothing until Set. stream tells engines with the same seed
// apart.
func NewEngine(seed, stream uint64) *Engine {
	next := stream << 8
	chance := func() *rand.Rand {
		next++
		return rand.New(rand.NewPCG(seed, next))
	}
	return &Engine{
		state: chance(), loss: chance(), delay: chance(), mixture: chance(),
		reorder: chance(), corrupt: chance(), truncate: chance(), where: chance(),
	}
}

// Set changes the settings for later packets. The settings must be valid.
func (e *Engine) Set(s Settings) {
	if s.Rate != e.settings.Rate {
		e.remainder = 0
	}
	e.settings, e.model = s, s.lossModel()
}

// Free makes the link free: later packets no longer wait for earlier ones.
func (e *Engine) Free() { e.free, e.last, e.remainder = 0, 0, 0 }

// Settings returns those in effect.
func (e *Engine) Settings() Settings { return e.settings }

// Decide says what becomes of the next packet, which has length bytes, when waiting others have not
// left yet. now must not go back.
func (e *Engine) Decide(now time.Duration, length, waiting int) Decision {
	s := &e.settings
	// Draw both even if one is not needed, so that the next packet gets its own.
	state, loss := e.state.Float64(), e.loss.Float64()
	z, w := normal(e.delay.Float64()), e.mixture.Float64()
	reorder, corrupt, truncate := e.reorder.Float64(), e.corrupt.Float64(), e.truncate.Float64()
	d := Decision{At: now, Random: e.where.Uint64()}

	// The variance stays 1 for every correlation.
	e.deviation = s.Correlation*e.deviation + math.Sqrt(1-s.Correlation*s.Correlation)*z

	var lost bool
	if e.bad, lost = e.model.next(e.bad, state, loss); lost {
		d.Fate = Lost
		return d
	}
	if waiting >= s.limit() {
		d.Fate = Full
		return d
	}
	d.Corrupt = corrupt < s.Corrupt
	d.Truncate = truncate < s.Truncate
	sent := e.transmit(now, length)
	if e.since++; e.since >= s.Gap && reorder < s.Reorder {
		e.since = 0
		d.Ahead, d.At = true, sent
		return d
	}
	delay := s.Delay
	if s.Jitter > 0 {
		delay += time.Duration(float64(s.Jitter) * s.Distribution.value(e.deviation, w))
	}
	d.At = sent + max(delay, 0)
	if s.Order == OrderKeep {
		d.At = max(d.At, e.last)
	}
	e.last = max(d.At, e.last)
	return d
}

// transmit returns when the link has sent a packet that arrives now.
func (e *Engine) transmit(now time.Duration, length int) time.Duration {
	rate := e.settings.Rate
	if rate == 0 {
		return now
	}
	if e.free < now {
		e.free, e.remainder = now, 0
	}
	work := uint64(length+e.settings.Overhead)*8*uint64(time.Second) + e.remainder
	e.free += time.Duration(work / rate)
	e.remainder = work % rate
	return e.free
}
