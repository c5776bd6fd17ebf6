// SPDX-License-Identifier: GPL-2.0-or-later

package connection

import (
	"sync/atomic"
	"time"

	"github.com/chifflier/nfqueue-go"
)

const (
	etherTypeIPv4 = 0x0800 // ETH_P_IP
	etherTypeIPv6 = 0x86dd // ETH_P_IPV6
)

// Tracker follows connections. It is an nfqueue.Handler for one goroutine: each worker of
// ServeFlows and each queue of a group has a Tracker of its own, and both directions of a
// connection must come to the same one if the handler is to see both. It panics when two
// goroutines call it at a time. Nothing is locked or allocated for a packet of a decided
// connection.
type Tracker struct {
	cfg   Config
	h     Handler
	start time.Time
	stats counters
	held  holder

	conns map[key]*Conn
	// Every connection is in one of these lists: the first three have undecided ones.
	opening   list // a SYN was seen, no more
	quiet     list // established, no data was seen
	undecided list
	unproven  list // accepted, and the bytes are kept
	streams   list // all other TCP
	datagrams list // all else
	ended     list
	free      *Conn // to be used again
	memory    int   // of undecided and of unproven connections
	now, aged time.Duration

	busy atomic.Bool // a packet is being decided
	told bool        // the log knows of data that is dropped because no answer was seen

	// The packet that a handler is called for.
	packet *nfqueue.Packet
	dir    Direction
	news   News
}

// New makes a Tracker that asks h. It panics if h is nil, a field of cfg is negative, or
// Fallback is no answer.
func New(cfg Config, h Handler) *Tracker {
	if h == nil {
		panic("connection: the Handler is nil; give one that answers for connections")
	}
	t := &Tracker{cfg: cfg.withDefaults(), h: h, start: time.Now(), conns: make(map[key]*Conn)}
	t.opening.timeout, t.quiet.timeout = openingTimeout, streamTimeout
	t.undecided.timeout, t.unproven.timeout = t.cfg.Timeout, streamTimeout
	t.streams.timeout, t.datagrams.timeout = streamTimeout, t.cfg.DatagramTimeout
	t.ended.timeout = endedTimeout
	t.held.init(t)
	return t
}

// ServePacket implements nfqueue.Handler.
func (t *Tracker) ServePacket(p *nfqueue.Packet) nfqueue.Verdict {
	if !t.busy.CompareAndSwap(false, true) {
		panic("connection: two goroutines call a Tracker at a time; give each queue and each " +
			"worker one of its own, with ServeFlows or rules.RunFunc")
	}
	defer t.busy.Store(false)
	transport, ok := p.Transport()
	if !ok || transport.Fragment {
		return t.other(p)
	}
	if t.now = time.Since(t.start); t.now-t.aged > tick {
		t.age(agedPerTick)
	}
	if transport.Protocol == nfqueue.ICMP || transport.Protocol == nfqueue.ICMPv6 {
		if quoted, ok := p.QuotedFlow(); ok {
			return t.unreachable(p, &quoted)
		}
	}
	flow, _ := p.Flow()
	seg := newSegment(&transport)
	k, down := keyOf(&flow)
	c := t.conns[k]
	if c != nil && t.stale(c) {
		t.forget(c, limitTime)
		c = nil
	}
	switch {
	case c == nil:
		c = t.open(p, &flow, k, down, &seg)
	case c.replacedBy(&seg, c.direction(down)):
		if c = t.replace(c, p, &flow, k, down, &seg); c == nil {
			t.stats.ignored.Add(1)
			return nfqueue.Drop
		}
	}
	c.last = t.now
	dir := c.direction(down)
	if dir == Reply {
		c.state |= stateAnswered
	}
	switch {
	case c.answer == More && !t.overdue(c):
		return t.follow(c, p, &seg, dir)
	case c.state&stateUnproven != 0:
		return t.prove(c, p, &seg, dir)
	}
	return t.decided(c, p, &seg, dir)
}

// direction returns the direction of a packet, see keyOf.
func (c *Conn) direction(down bool) Direction {
	if down == (c.state&stateDown != 0) {
		return Original
	}
	return Reply
}

// open makes a connection of its first packet.
func (t *Tracker) open(p *nfqueue.Packet, f *nfqueue.Flow, k key, down bool, s *segment) *Conn {
	t.age(agedPerOpen)
	for len(t.conns) >= t.cfg.MaxConns {
		t.stats.forgotten.Add(1)
		t.forget(t.leastWanted(), limitConns)
	}
	c := t.free
	if c != nil {
		t.free = c.next
		*c = Conn{}
	} else {
		c = new(Conn)
	}
	c.t, c.key, c.flow, c.since = t, k, *f, t.now
	c.hook, c.inDev, c.outDev = p.Hook(), uint32(p.InDev()), uint32(p.OutDev())
	if uid, ok := p.UID(); ok {
		c.state |= stateUser
		c.uid = uid
		c.gid, _ = p.GID()
	}
	reply := false
	if f.Protocol == nfqueue.TCP {
		c.state |= stateTCP
		if s.flags&flagSYN != 0 {
			c.state |= stateSYN
		}
		reply = s.flags&(flagSYN|flagACK) == flagSYN|flagACK
	}
	switch {
	case t.cfg.OneWay && c.state&stateTCP != 0:
	case s.flags&(flagSYN|flagACK) == flagSYN:
		c.state |= stateUnsure
	default: // conntrack may have begun with the same packet
		c.state |= stateGuess
	}
	if s.flags&flagSYN == 0 {
		state, ok := p.ConnState()
		reply = ok && state.Reply()
	}
	if reply {
		c.flow = f.Reverse()
	}
	if down != reply {
		c.state |= stateDown
	}
	t.conns[k] = c
	t.opening.push(c)
	t.stats.opened.Add(1)
	t.stats.undecided.Add(1)
	t.stats.conns.Store(int64(len(t.conns)))
	return c
}

// unreachable decides an ICMP error by the connection of the packet that it quotes.
func (t *Tracker) unreachable(p *nfqueue.Packet, quoted *nfqueue.Flow) nfqueue.Verdict {
	k, down := keyOf(quoted)
	c := t.conns[k]
	if c == nil || quoted.NoTransport || quoted.Fragment || t.stale(c) {
		return t.other(p)
	}
	if c.answer == More && !t.overdue(c) {
		if a := t.ask(c, p, c.direction(!down), Unreachable); a != More {
			t.decide(c, a, limitNone, false)
		}
	}
	switch c.answer {
	case More:
		return nfqueue.Accept
	case Accept:
		return t.accepted(c, p)
	case Reject: // errors are not answered, and must not have the connection dropped instead
		return nfqueue.Drop
	}
	return t.cfg.Offload.Drop(p)
}

// other decides a packet of no connection.
func (t *Tracker) other(p *nfqueue.Packet) nfqueue.Verdict {
	t.stats.other.Add(1)
	if t.cfg.Other != nil {
		return t.cfg.Other.ServePacket(p)
	}
	_, isError := p.QuotedFlow()
	notIP := p.EtherType() != etherTypeIPv4 && p.EtherType() != etherTypeIPv6
	if t.cfg.Fallback == Accept || isError || notIP {
		return nfqueue.Accept
	}
	return nfqueue.Drop
}
