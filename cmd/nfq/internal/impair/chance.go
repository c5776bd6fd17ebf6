// SPDX-License-Identifier: GPL-2.0-or-later

package impair

import "math"

// Distribution is one of deviations from a delay.
type Distribution uint8

// The distributions. The mean of all is 0.
const (
	// Uniform is even over [-1, 1].
	Uniform Distribution = iota
	// Normal has the standard deviation 1.
	Normal
	// Pareto has a long tail of large deviations (shape 3, standard deviation 1).
	Pareto
	// ParetoNormal is a quarter of Normal and three of Pareto, with the standard deviation 1.
	ParetoNormal
)

const (
	// rarest bounds the tails: without it, one value in 65536 would be larger.
	rarest = 1.0 / (1 << 16)

	paretoShape = 3.0
	paretoMean  = paretoShape / (paretoShape - 1)
)

var paretoDeviation = math.Sqrt(
	paretoShape / ((paretoShape - 1) * (paretoShape - 1) * (paretoShape - 2)),
)

// value returns the deviation that belongs to z, a value of the standard normal distribution. w,
// uniform in [0, 1), is for distributions that are made of two.
func (d Distribution) value(z, w float64) float64 {
	switch d {
	case Normal:
		return z
	case Pareto:
		return pareto(normalTail(z))
	case ParetoNormal:
		const a, b = 0.25, 0.75
		return (a*z + b*pareto(w)) / math.Sqrt(a*a+b*b)
	}
	return 1 - 2*normalTail(z)
}

// pareto returns the deviation that is exceeded with probability tail.
func pareto(tail float64) float64 {
	return (math.Pow(max(tail, rarest), -1/paretoShape) - paretoMean) / paretoDeviation
}

// normalTail returns the probability of a value above z.
func normalTail(z float64) float64 { return math.Erfc(z/math.Sqrt2) / 2 }

// normal returns the value of the standard normal distribution below which u of all are.
func normal(u float64) float64 {
	return math.Sqrt2 * math.Erfinv(2*min(max(u, rarest), 1-rarest)-1)
}

// LossModel is that of Gilbert and Elliott: a link is in a good or in a bad state, and each has a
// loss of its own. All are probabilities for each packet.
type LossModel struct {
	ToBad    float64 // that the link goes from good to bad
	ToGood   float64 // that it goes from bad to good
	LossBad  float64 // that a packet is lost in the bad state
	LossGood float64 // that a packet is lost in the good state
}

// Loss returns the part of all packets that is lost in the long run.
func (m LossModel) Loss() float64 {
	if m.ToBad == 0 {
		return m.LossGood
	}
	bad := m.ToBad / (m.ToBad + m.ToGood)
	return bad*m.LossBad + (1-bad)*m.LossGood
}

// next moves the link to the state in which it meets the next packet, and tells whether that is
// lost. u and v are uniform in [0, 1).
func (m LossModel) next(bad bool, u, v float64) (nowBad, lost bool) {
	if bad {
		bad = u >= m.ToGood
	} else {
		bad = u < m.ToBad
	}
	if bad {
		return true, v < m.LossBad
	}
	return false, v < m.LossGood
}
