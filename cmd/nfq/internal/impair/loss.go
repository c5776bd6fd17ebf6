// SPDX-License-Identifier: GPL-2.0-or-later

package impair

// LossModel is that of Gilbert and Elliott: a link is in a good or in a bad state, and each has a loss of its own. All
// are probabilities for each packet.
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

// next moves the link to the state in which it meets the next packet, and tells whether that is lost. u and v are
// uniform in [0, 1).
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
