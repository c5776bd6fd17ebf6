// SPDX-License-Identifier: GPL-2.0-or-later

package consumer

import (
	"time"

	"github.com/chifflier/nfqueue-go"
)

// handler decides the packets of one queue.
type handler struct {
	setup  Setup
	warm   func() // called at the end of the warm-up, nil if nobody wants to know
	finish func() // called with the last packet
	count  int
	held   []*nfqueue.Held
}

// function returns the simplest handler that does what is asked.
func (h *handler) function() nfqueue.HandlerFunc {
	switch {
	case h.setup.Connections != "":
		return h.track(newTracker(h.setup))
	case h.setup.Hold > 0:
		return h.hold
	case h.setup.Work > 0:
		return h.work
	}
	return h.decide
}

func (h *handler) decide(*nfqueue.Packet) nfqueue.Verdict {
	h.count++
	switch h.count {
	case h.setup.WarmUp:
		if h.warm != nil {
			h.warm()
		}
	case h.setup.Packets:
		h.finish()
	}
	return h.setup.Verdict
}

func (h *handler) work(p *nfqueue.Packet) nfqueue.Verdict {
	for start := time.Now(); time.Since(start) < h.setup.Work; {
	}
	return h.decide(p)
}

func (h *handler) hold(p *nfqueue.Packet) nfqueue.Verdict {
	h.held = append(h.held, p.Defer())
	verdict := h.decide(p)
	if len(h.held) == h.setup.Hold || h.count == h.setup.Packets {
		for i := len(h.held) - 1; i >= 0; i-- {
			// It fails only for a queue that was closed, which Serve reports.
			_ = h.held[i].Resolve(verdict)
		}
		h.held = h.held[:0]
	}
	return nfqueue.Deferred
}
