// SPDX-License-Identifier: GPL-2.0-or-later

package demo

import (
	"net/netip"
	"time"

	"github.com/chifflier/nfqueue-go"
)

// handler decides the packets of the queue, counts what it did and shows it.
type handler struct {
	flows  flows
	screen *screen
	start  time.Time
	server []netip.Addr // its addresses
	intact bool         // no payload is replaced

	segmented int // packets larger than the MTU, to be segmented behind the queue
	largest   int // length of the largest packet
}

// ServePacket is nfqueue.Handler's.
func (h *handler) ServePacket(p *nfqueue.Packet) nfqueue.Verdict {
	v := viewOf(p.Payload())
	k := classify(v)
	l := line{
		kind: k, family: p.Family(), time: time.Since(h.start), id: p.ID(), protocol: v.protocol(),
		length: len(v.packet),
	}
	l.source, l.destination = v.ends(h.server...)
	if p.SKBInfo()&nfqueue.SegmentationPending != 0 {
		l.protocol += " gso"
		h.segmented++
	}
	h.largest = max(h.largest, len(v.packet))
	l.decision = h.decide(k, p, v)
	if f := h.flows[key{p.Family(), k}]; f != nil {
		f.tally.add(l.decision)
	}
	h.screen.packet(l)
	return l.verdict
}

// decide is the function of that name, unless no payload is to be replaced.
func (h *handler) decide(k kind, p *nfqueue.Packet, v view) decision {
	if h.intact && k.replaced() && !(k == echoRequest && v.echoSequence() == droppedEcho) {
		return decision{verdict: nfqueue.Accept}
	}
	return decide(k, p, v)
}

func (t *tally) add(d decision) {
	if d.verdict == nfqueue.Drop {
		t.dropped++
		return
	}
	t.accepted++
	switch d.edit {
	case rewritten:
		t.rewritten++
	case marked:
		t.marked++
	}
}
