// SPDX-License-Identifier: GPL-2.0-or-later

package connection

import (
	"sync"
	"time"

	"github.com/chifflier/nfqueue-go"
)

// hold holds packets of an undecided connection. It is guarded by holder.mu.
type hold struct {
	c          *Conn // owned by the tracker
	packets    []*nfqueue.Held
	deadline   time.Duration
	expired    bool // the packets have the Fallback
	prev, next *hold
}

// holder gives the Fallback to packets that are held for too long, also while no packet comes.
// Nothing else runs outside the goroutine of the packets, which finds that out at the next packet
// of the connection.
type holder struct {
	cfg   *Config
	stats *counters
	start time.Time

	mu         sync.Mutex
	head, tail *hold // in the order of their deadlines
	timer      *time.Timer
}

func (h *holder) init(t *Tracker) {
	h.cfg, h.stats, h.start = &t.cfg, &t.stats, t.start
	h.timer = time.AfterFunc(time.Hour, h.expire)
	h.timer.Stop()
}

// add holds a packet. It reports false if the time of the connection has passed.
func (h *holder) add(o *hold, p *nfqueue.Packet, now time.Duration) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if o.expired {
		return false
	}
	if len(o.packets) == 0 {
		o.deadline = now + h.cfg.Timeout
		if o.prev = h.tail; h.tail != nil {
			h.tail.next = o
		} else {
			h.head = o
			h.timer.Reset(h.cfg.Timeout)
		}
		h.tail = o
	}
	o.packets = append(o.packets, p.Defer())
	h.stats.held.Add(1)
	return true
}

// expired reports whether the packets of o have got the Fallback.
func (h *holder) expired(o *hold) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return o.expired
}

// oldest returns the connection whose packets are held longest, nil for none.
func (h *holder) oldest() *Conn {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.head == nil {
		return nil
	}
	return h.head.c
}

// release gives the packets of o their verdict, unless they have the Fallback: then it
// reports false.
func (h *holder) release(o *hold, a Answer, offload Offload, mayReject bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if o.expired {
		return false
	}
	h.unlink(o)
	h.resolve(o, a, offload, mayReject)
	return true
}

func (h *holder) unlink(o *hold) {
	if o.prev != nil {
		o.prev.next = o.next
	} else {
		h.head = o.next
	}
	if o.next != nil {
		o.next.prev = o.prev
	} else {
		h.tail = o.prev
	}
	o.prev, o.next = nil, nil
}

// resolve decides the packets in the order in which they came. One of several is enough
// to be rejected. Resolve fails for a packet that got its verdict because its queue ends.
func (h *holder) resolve(o *hold, a Answer, offload Offload, mayReject bool) {
	for i, held := range o.packets {
		var v nfqueue.Verdict
		switch {
		case a == Accept:
			v = offload.Accept(held.Packet())
		case a == Reject && mayReject && i == len(o.packets)-1:
			v = offload.Reject(held.Packet())
		default:
			v = offload.Drop(held.Packet())
		}
		_ = held.Resolve(v)
	}
	h.stats.held.Add(-int64(len(o.packets)))
	o.packets = nil
}

// expire gives the Fallback to what has been held too long.
func (h *holder) expire() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for h.head != nil {
		if wait := h.head.deadline - time.Since(h.start); wait > 0 {
			h.timer.Reset(wait)
			return
		}
		o := h.head
		h.unlink(o)
		o.expired = true
		h.stats.limit[limitTime].Add(1)
		h.stats.undecided.Add(-1)
		h.resolve(o, h.cfg.Fallback, h.cfg.Offload, true)
	}
}
