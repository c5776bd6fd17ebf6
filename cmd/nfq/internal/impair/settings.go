// SPDX-License-Identifier: GPL-2.0-or-later

package impair

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// DefaultLimit is the number of packets that wait when Settings.Limit is zero.
const DefaultLimit = 10000

// MaxDelay is the highest Settings.Delay and Settings.Jitter.
const MaxDelay = time.Hour

// minTruncateTo is the length of an IPv4 header without options.
const minTruncateTo = 20

// MaxLimit is the highest Settings.Limit. The kernel holds at most 65536 packets in a queue.
const MaxLimit = 60000

// Settings say what is done to packets. The zero value does nothing. Probabilities are from 0 to 1.
type Settings struct {
	// Delay is how long a packet is held, give or take Jitter.
	Delay time.Duration
	// Jitter is the largest deviation from Delay (uniform) or the standard deviation (the other
	// distributions).
	Jitter time.Duration
	// Distribution is that of the deviations.
	Distribution Distribution
	// Correlation is how much the deviation of a packet resembles that of the packet before, below
	// 1.
	Correlation float64
	// Order says whether jitter may change the order of packets.
	Order Order

	// Loss is the probability that a packet is lost.
	Loss float64
	// Burst is the mean number of packets that are lost in a row. Zero makes losses independent of
	// each other.
	Burst float64
	// Model, if it is not zero, decides on losses instead of Loss and Burst.
	Model LossModel

	// Reorder is the probability that a packet overtakes those that wait out their Delay: it is not
	// delayed.
	Reorder float64
	// Gap lets only every Gap-th packet overtake. Zero is 1.
	Gap int

	// Rate is that of the link in bits per second, through which packets go one after the other.
	// Zero is unlimited.
	Rate uint64
	// Overhead is the number of bytes which the link adds to each packet.
	Overhead int

	// Corrupt is the probability that a packet is damaged behind its IP header.
	Corrupt float64
	// Flip is how.
	Flip Flip
	// Truncate is the probability that a packet is cut.
	Truncate float64
	// TruncateTo is the number of bytes of it that are left, from the IP header on. Zero is a
	// random one.
	TruncateTo int
	// Checksum says how checksums and lengths of damaged or cut packets are treated.
	Checksum Checksum

	// Limit is the number of packets that may wait; more are dropped. Zero is DefaultLimit.
	Limit int
}

// Order says whether jitter may change the order of packets.
type Order uint8

// The orders.
const (
	OrderKeep Order = iota // a packet waits for those before it
	OrderFree              // each waits as long as its own delay says
)

// Flip is how a packet is damaged.
type Flip uint8

// The ways to damage a packet.
const (
	FlipBit  Flip = iota // one bit is inverted
	FlipByte             // one byte gets another value
)

// Checksum says how checksums and lengths of damaged or cut packets are treated.
type Checksum uint8

// The treatments of checksums.
const (
	// ChecksumKeep leaves them, so that receivers notice and discard the packet.
	ChecksumKeep Checksum = iota
	// ChecksumRepair corrects them, and damages only the payload.
	ChecksumRepair
)

// limit returns the limit that is in effect.
func (s Settings) limit() int {
	if s.Limit == 0 {
		return DefaultLimit
	}
	return s.Limit
}

// Alters reports whether the bytes of packets may change.
func (s Settings) Alters() bool { return s.Corrupt > 0 || s.Truncate > 0 }

// Validate returns nil, or an error for settings that contradict each other or are out of range.
func (s Settings) Validate() error {
	for _, p := range []struct {
		name  string
		value float64
	}{
		{"loss", s.Loss}, {"reorder", s.Reorder}, {"corrupt", s.Corrupt}, {"truncate", s.Truncate},
		{"correlation", s.Correlation},
		{"gemodel", s.Model.ToBad}, {"gemodel", s.Model.ToGood}, {"gemodel", s.Model.LossBad},
		{"gemodel", s.Model.LossGood},
	} {
		if !(p.value >= 0 && p.value <= 1) {
			return fmt.Errorf("%s is %v%%; want 0%% to 100%%", p.name, p.value*100)
		}
	}
	switch {
	case s.Delay < 0 || s.Jitter < 0:
		return errors.New("delay and jitter must not be negative")
	case s.Delay > MaxDelay || s.Jitter > MaxDelay:
		return fmt.Errorf(
			"delay and jitter are at most %v; to keep packets from arriving at all give a loss of 100%%",
			MaxDelay,
		)
	case s.Jitter == 0 && s.Distribution != Uniform:
		return fmt.Errorf("distribution %v needs a jitter", s.Distribution)
	case s.Jitter == 0 && s.Correlation != 0:
		return errors.New("correlation needs a jitter")
	case s.Correlation == 1:
		return errors.New("correlation is 100%, which makes all delays the same; want less")
	case s.Jitter == 0 && s.Order == OrderFree:
		return errors.New("order free needs a jitter: equal delays do not change the order")
	case s.Model != (LossModel{}) && (s.Loss != 0 || s.Burst != 0):
		return errors.New("gemodel replaces loss and burst; leave those out")
	case s.Burst != 0 && s.Loss == 0:
		return errors.New("burst needs a loss")
	case s.Burst != 0 && !(s.Burst >= 1 && s.Burst <= 1e9):
		return fmt.Errorf("burst is %v; want the mean number of packets lost in a row, at least 1",
			s.Burst)
	case s.Burst != 0 && s.Loss == 1:
		return errors.New("burst makes no sense with a loss of 100%")
	case s.Burst != 0 && s.Loss/(1-s.Loss) > s.Burst:
		return fmt.Errorf(
			"a loss of %s cannot come in bursts of %v packets on average; want %.3g or more",
			percentText(s.Loss),
			s.Burst,
			s.Loss/(1-s.Loss),
		)
	case s.Reorder != 0 && s.Delay == 0:
		return errors.New("reorder needs a delay: a packet overtakes those that wait it out")
	case s.Gap != 0 && s.Reorder == 0:
		return errors.New("gap needs reorder")
	case s.Gap < 0 || s.Overhead < 0 || s.TruncateTo < 0:
		return errors.New("gap, overhead and truncate-to must not be negative")
	case s.Overhead != 0 && s.Rate == 0:
		return errors.New("overhead needs a rate")
	case s.Rate > maxRate:
		return fmt.Errorf("a rate of %s is too much; want at most %s", rateText(s.Rate),
			rateText(maxRate))
	case s.Flip != FlipBit && s.Corrupt == 0:
		return errors.New("flip needs corrupt")
	case s.TruncateTo != 0 && s.Truncate == 0:
		return errors.New("truncate-to needs truncate")
	case s.TruncateTo != 0 && s.TruncateTo < minTruncateTo:
		return fmt.Errorf(
			"truncate-to is %d; want %d or more, since the IP header is never cut: shorter packets reach nobody, as with loss",
			s.TruncateTo,
			minTruncateTo,
		)
	case s.Checksum != ChecksumKeep && !s.Alters():
		return errors.New("checksum needs corrupt or truncate")
	case s.Limit < 0 || s.Limit > MaxLimit:
		return fmt.Errorf("limit is %d; want 1 to %d packets", s.Limit, MaxLimit)
	}
	return nil
}

// maxRate is 1 Tbit/s: above it, a packet takes less than the clock resolves.
const maxRate = 1_000_000_000_000

// String returns the settings in the words of Set, "nothing" for the zero value.
func (s Settings) String() string {
	var words []string
	for _, w := range Words() {
		if v := w.text(s); v != "" {
			words = append(words, w.Name, v)
		}
	}
	if words == nil {
		return "nothing"
	}
	return strings.Join(words, " ")
}

// lossModel returns the model that losses follow.
func (s Settings) lossModel() LossModel {
	switch {
	case s.Model != (LossModel{}):
		return s.Model
	case s.Burst == 0:
		return LossModel{ToBad: s.Loss, ToGood: 1 - s.Loss, LossBad: 1}
	}
	toGood := 1 / s.Burst
	return LossModel{ToBad: math.Min(1, toGood*s.Loss/(1-s.Loss)), ToGood: toGood, LossBad: 1}
}
