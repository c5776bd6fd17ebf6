// SPDX-License-Identifier: GPL-2.0-or-later

package soak

import (
	"encoding/binary"
	"math/rand/v2"
	"time"

	"github.com/chifflier/nfqueue-go"
)

// handler decides at random. Each goroutine that serves has its own.
type handler struct {
	l     *life
	rnd   *rand.Rand
	calls uint64

	mood mood
	left int // packets for which the mood lasts
}

// mood is what a handler does with several packets in a row.
type mood int

const (
	dropping  mood = iota // so that batch messages have something to do
	accepting             // likewise
	mixed
	moods
)

func (h *handler) ServePacket(p *nfqueue.Packet) nfqueue.Verdict {
	h.calls++
	h.l.pace.decided.Add(1)
	if h.l.rough {
		return h.accept(p)
	}
	if h.left == 0 {
		h.mood, h.left = mood(h.rnd.IntN(int(moods))), 1+h.rnd.IntN(100)
	}
	h.left--
	switch h.mood {
	case dropping:
		return nfqueue.Drop
	case accepting:
		return nfqueue.Accept
	}
	return h.anything(p)
}

// anything does one of all things that a handler can do with a packet.
func (h *handler) anything(p *nfqueue.Packet) nfqueue.Verdict {
	switch r := h.rnd.IntN(1000); {
	case r < 200:
		p.SetMark(1)
		return nfqueue.Accept
	case r < 350:
		return h.move(p)
	case r < 450:
		h.l.held <- p.Defer()
		return nfqueue.Deferred
	case r < 470:
		p.DeferTimeout(time.Millisecond) // and never resolved
		return nfqueue.Deferred
	case r < 520:
		p.SetMark(againMark)
		return nfqueue.Repeat
	case r < 560:
		return nfqueue.ToQueueOrAccept(nobodys)
	case r < 570:
		return 0x10001 // is invalid
	case r < 571:
		h.panic()
		return nfqueue.Accept
	case r < 800:
		return nfqueue.Accept
	}
	return nfqueue.Drop
}

// nobodys is a queue that nobody binds.
const nobodys = 9

// accept accepts with a mark, so that every verdict is a message of its own and the kernel reports
// each that is too late.
func (h *handler) accept(p *nfqueue.Packet) nfqueue.Verdict {
	p.SetMark(1)
	switch r := h.rnd.IntN(1000); {
	case r < 100:
		h.l.held <- p.Defer()
		return nfqueue.Deferred
	case r < 110:
		p.DeferTimeout(time.Millisecond)
		return nfqueue.Deferred
	case r < 111:
		h.panic()
	}
	return nfqueue.Accept
}

// panic panics, rarely if several workers must then be restarted.
func (h *handler) panic() {
	if h.l.cfg.OnPanic == nil && h.l.workers > 1 && h.rnd.IntN(20) != 0 {
		return
	}
	panic("soak")
}

// move sends a datagram to another port, sometimes longer than it was.
func (h *handler) move(p *nfqueue.Packet) nfqueue.Verdict {
	b := p.Payload()
	if !h.l.s.replaces || p.Truncated() || p.SKBInfo()&nfqueue.SegmentationPending != 0 ||
		len(b) < 28 ||
		b[0] != 0x45 {
		return nfqueue.Accept
	}
	binary.BigEndian.PutUint16(b[22:], movedPort)
	if h.rnd.IntN(4) == 0 {
		b = append(b, make([]byte, h.rnd.IntN(1000))...)
	}
	if err := p.SetPayload(b); err != nil {
		panic(err)
	}
	h.l.moved.Add(1)
	return nfqueue.Accept
}

// resolve decides packets that were deferred, until there are no more.
func (l *life) resolve(rnd *rand.Rand) {
	for h := range l.held {
		v := nfqueue.Accept
		if !l.rough && rnd.IntN(2) == 0 {
			v = nfqueue.Drop
		}
		if rnd.IntN(2) == 0 {
			h.Packet().SetMark(3)
		}
		_ = h.Resolve(v) // fails when the queue was closed
	}
}
