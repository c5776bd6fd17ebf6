// SPDX-License-Identifier: GPL-2.0-or-later

package sender

import "sync/atomic"

// Counters count verdicts, by kind, and what became of them.
type Counters struct {
	Accepted, Dropped, Repeated, Stopped, Requeued atomic.Uint64

	Sends        atomic.Uint64 // datagrams
	Unsent       atomic.Uint64 // verdicts that never left
	FallbackSend atomic.Uint64 // verdicts that left as the fallback, without their payload
}

// Verdicts of the kernel (linux/netfilter.h), and the mask of their code.
const (
	nfDrop   = 0    // NF_DROP
	nfAccept = 1    // NF_ACCEPT
	nfQueue  = 3    // NF_QUEUE
	nfRepeat = 4    // NF_REPEAT
	nfStop   = 5    // NF_STOP
	nfMask   = 0xff // NF_VERDICT_MASK
)

// Kind returns the counter of verdicts like word.
func (c *Counters) Kind(word uint32) *atomic.Uint64 {
	switch word {
	case nfDrop:
		return &c.Dropped
	case nfAccept:
		return &c.Accepted
	case nfRepeat:
		return &c.Repeated
	case nfStop:
		return &c.Stopped
	}
	return &c.Requeued
}

// overrule counts that a verdict which was counted has become another.
func (c *Counters) overrule(was, is uint32) {
	c.Kind(is).Add(1)
	c.Kind(was).Add(^uint64(0))
}

// tally counts the verdicts of one datagram, by code.
type tally [nfStop + 1]uint64

func (t *tally) count(word uint32) { t[min(word&nfMask, nfStop)]++ }

// publish adds them to the counters when the datagram leaves.
func (t *tally) publish(c *Counters) {
	for code, n := range t {
		if n != 0 {
			c.Kind(uint32(code)).Add(n)
		}
	}
	*t = tally{}
}
