// SPDX-License-Identifier: GPL-2.0-or-later

package connection

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/bridge"
)

const (
	etherTypeIPv4 = 0x0800 // ETH_P_IP
	etherTypeIPv6 = 0x86dd // ETH_P_IPV6
)

// tries is how many packets a client may send before the server has answered without a line in the
// log: a SYN, an acknowledgement and data. Then it sends some of these again.
const tries = 3

// Tracker follows connections. It is an nfqueue.Handler for one goroutine: each worker of
// ServeFlows and each queue of a group has a Tracker of its own, and both directions of a
// connection must come to the same one if the handler is to see both. It panics when two
// goroutines call it at a time. Nothing is locked or allocated for a packet of a decided connection.
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
	var inherited state
	var earlier uint32
	switch {
	case c == nil:
	case t.stale(c):
		t.forget(c, limitTime)
		c = nil
	case c.replacedBy(&seg, c.direction(down)):
		if c.mayBeFormer() && c.state&stateEarlier != 0 && seg.seq+1 != c.earlier &&
			c.direction(down) == Original && t.now-c.since < openingTimeout {
			// The server may answer any of them, and only two are known. The first may be that of
			// the accepted connection, sent again.
			t.stats.ignored.Add(1)
			return nfqueue.Drop
		}
		earlier = c.sides[Original].base
		inherited = c.successor(c.direction(down))
		t.forget(c, limitReplaced)
		c = nil
	}
	if c == nil {
		c = t.open(p, &flow, k, down, &seg)
		if c.state |= inherited; inherited&stateFormer != 0 {
			c.earlier = earlier
			t.quiet.move(c) // the former may be idle for as long
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

// replacedBy reports whether a segment opens another connection with the addresses and
// ports of c. A SYN that was sent again does not.
func (c *Conn) replacedBy(s *segment, d Direction) bool {
	side := &c.sides[d]
	switch {
	case c.state&stateTCP == 0 || s.flags&(flagSYN|flagACK|flagRST) != flagSYN:
		return false
	case c.state&stateOver != 0, c.state&stateSYN == 0:
		return true
	case d == Original && s.seq+1 != side.base:
		return true
	case d == Original:
		// The end of a connection is not seen where the kernel carries on with it, and the next one
		// may begin with the same number.
		return c.answer == Accept && c.packets > 1 && c.state&stateUnproven == 0
	}
	// Both ends may open a connection at the same time (RFC 9293 section 3.5). While this one
	// lasts its client must not become the one who answers.
	return c.mayBeFormer() ||
		c.state&stateAnswered != 0 && c.answer == Accept && (!side.known || s.seq+1 != side.base)
}

// mayBeFormer reports whether the server may still have an accepted connection in the place of c,
// whose SYN it has not acknowledged.
func (c *Conn) mayBeFormer() bool {
	return c.state&(stateFormer|stateUnsure) == stateFormer|stateUnsure
}

// answersSYN reports whether a segment shows that its sender knows of a SYN, and so of no
// connection before that.
func (c *Conn) answersSYN(s *segment, d Direction) bool {
	return s.flags&flagACK != 0 && (d == Reply || c.state&stateBoth != 0) &&
		(s.flags&flagSYN != 0 || s.ack == c.sides[1-d].base ||
			c.state&stateEarlier != 0 && s.ack == c.earlier)
}

// successor returns what is to be known of the connection that a SYN of a direction opens with
// the addresses and ports of c. Its receiver takes no notice of the SYN if it still has c.
func (c *Conn) successor(d Direction) state {
	both := c.state & stateBoth
	if d == Reply {
		both = stateBoth
	}
	switch {
	case c.mayBeFormer():
		return stateFormer | stateEarlier | both
	case c.answer == Accept && c.state&stateUnproven == 0 && !c.closed():
		return stateFormer
	case c.answer == Accept, c.state&stateSYN == 0 && d == Original:
		return 0
	}
	return both
}

// handshake learns from the packets that open a TCP connection.
func (c *Conn) handshake(s *segment, d Direction) {
	original, reply := &c.sides[Original], &c.sides[Reply]
	if d == Reply && s.cut { // nobody knows where it ends
		c.state &^= stateAgreed
	}
	switch s.flags & (flagSYN | flagACK | flagRST) {
	case flagSYN:
		if d == Reply {
			c.state |= stateBoth
		}
	case flagSYN | flagACK:
		if d != Reply || !original.known || s.ack != original.base {
			return
		}
		switch {
		case c.state&stateUnsure != 0:
			c.state = c.state&^stateUnsure | stateAgreed
			reply.top = s.end()
		case c.state&stateAgreed != 0 && c.list == &c.t.opening && len(s.body) == 0 &&
			reply.top == reply.base:
			// The client may not have got the first answer, and a server that keeps nothing of a
			// SYN gives another.
			reply.base, reply.top = s.end(), s.end()
		}
	case flagACK:
		if end := s.end(); d == Reply && int32(end-reply.top) > 0 {
			reply.top = end
		}
	}
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
		if s.flags&(flagSYN|flagACK) == flagSYN && !t.cfg.OneWay {
			c.state |= stateUnsure
		}
		reply = s.flags&(flagSYN|flagACK) == flagSYN|flagACK
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

// follow adds a packet to an undecided connection, and asks the handler if that is news.
func (t *Tracker) follow(c *Conn, p *nfqueue.Packet, s *segment, d Direction) nfqueue.Verdict {
	if c.mayBeFormer() {
		// Anybody can send a SYN on the ports of a connection, and must not end it by that.
		c.handshake(s, d)
		if c.answersSYN(s, d) {
			c.state &^= stateFormer
		}
		if c.mayBeFormer() && s.flags&flagSYN == 0 {
			return nfqueue.Accept
		}
	}
	if s.flags&flagURG != 0 && !withoutUrgent(p) {
		t.stats.ignored.Add(1)
		return nfqueue.Drop
	}
	first := c.packets == 0
	if first || !c.mayBeFormer() {
		c.packets++
	}
	var news News
	if first {
		news = Opened
	}
	if s.cut {
		c.state |= stateCut
	}
	ignored := false
	if c.state&stateTCP != 0 {
		c.handshake(s, d)
		ignored = s.mayBeIgnored(d) || c.notOfThis(s, d)
	}
	if ignored {
		s.body, s.flags = nil, s.flags&^flagFIN
	}
	var fresh int
	if c.state&stateTCP != 0 {
		var why News
		why, fresh = c.addSegment(s, d, t.cfg.MaxBytes)
		news |= why
	} else {
		news |= c.addDatagram(s.body, d, t.cfg.MaxBytes)
	}
	if news&Conflict != 0 {
		t.stats.conflicts.Add(1)
	}
	if news != 0 {
		if a := t.ask(c, p, d, news); a != More {
			t.decide(c, a, limitNone, d == Original)
		}
	}
	if c.answer == More {
		if l := t.limitOf(c); l != limitNone {
			t.decide(c, t.cfg.Fallback, l, d == Original)
		}
	}
	if c.answer == More {
		t.keep(c, s, d)
	}
	if c.answer == More && ignored {
		return t.withoutData(c, p, s, d)
	}
	if c.answer == More && (!t.cfg.Hold || d == Reply && c.state&stateBoth == 0) {
		if news&Conflict != 0 {
			return nfqueue.Drop
		}
		return nfqueue.Accept
	}
	if c.answer == More {
		return t.holdBack(c, p, s, d, fresh, news)
	}
	v := t.decided(c, p, s, d)
	if news&Conflict != 0 && c.answer == Accept { // the first copy wins
		return nfqueue.Drop
	}
	return v
}

// ask calls the handler.
func (t *Tracker) ask(c *Conn, p *nfqueue.Packet, d Direction, news News) Answer {
	t.packet, t.dir, t.news = p, d, news
	returned := false
	defer func() {
		t.packet = nil
		if !returned {
			t.decide(c, t.cfg.Fallback, limitPanic, false)
		}
	}()
	a := t.h.ServeConn(c)
	if a > Reject {
		panic(fmt.Sprintf("connection: the handler returned %v; want More, Accept, Drop or Reject", a))
	}
	returned = true
	return a
}

// limitOf returns the limit that an undecided connection has reached.
func (t *Tracker) limitOf(c *Conn) limit {
	original, reply := &c.sides[Original], &c.sides[Reply]
	switch {
	case c.state&stateOver != 0, original.done && reply.done,
		t.cfg.Hold && original.done && len(original.data) > 0: // no more bytes can come
		c.state |= stateOver | stateEmptyPass
		return limitEnded
	case c.state&stateCut != 0, max(len(original.data), len(reply.data)) >= t.cfg.MaxBytes:
		return limitBytes
	case int(c.packets) >= t.cfg.MaxPackets:
		return limitPackets
	}
	return limitNone
}

// keep keeps what a packet has added to an undecided connection, and makes room for it.
func (t *Tracker) keep(c *Conn, seg *segment, d Direction) {
	c.sides[d].keep()
	t.charge(c, c.sides[Original].memory()+c.sides[Reply].memory())
	switch {
	case c.list == &t.undecided:
	case c.memory > 0 || c.state&stateTCP == 0:
		c.since = t.now
		t.undecided.move(c)
	case c.list == &t.opening && c.packets > 1 && seg.flags&flagSYN == 0:
		c.since = t.now
		t.quiet.move(c)
	}
	t.limitMemory()
}

// limitMemory has connections give up what they keep, until it is within the limit.
func (t *Tracker) limitMemory() {
	for t.memory > t.cfg.MaxMemory {
		switch {
		case t.unproven.head != nil:
			t.letGo(t.unproven.head)
		case t.undecided.head != nil:
			t.decide(t.undecided.head, t.cfg.Fallback, limitMemory, false)
		default:
			return
		}
	}
}

// charge counts the memory of a connection.
func (t *Tracker) charge(c *Conn, n int) {
	if n != c.memory {
		t.memory += n - c.memory
		c.memory = n
		t.stats.memory.Store(int64(t.memory))
	}
}

// withoutData returns the verdict for a segment whose data the receiver may ignore. A SYN
// goes on without it: the client sends it again when the SYN has been answered. So does what
// may be a keep-alive.
func (t *Tracker) withoutData(c *Conn, p *nfqueue.Packet, s *segment, d Direction) nfqueue.Verdict {
	opens := s.flags&(flagSYN|flagACK) == flagSYN
	before := c.sides[d].known && c.sides[d].offset(s) < 0
	if (opens || before) && p.SetBody(nil) == nil {
		t.stats.stripped.Add(1)
		return nfqueue.Accept
	}
	if c.state&stateUnsure == 0 || s.flags&(flagSYN|flagACK) != flagACK {
		t.stats.ignored.Add(1)
		return nfqueue.Drop
	}
	t.stats.unanswered.Add(1)
	if c.packets > tries && !t.told {
		t.told = true
		bridge.Warn(p, "connection: data of a client is dropped because no answer to its SYN was "+
			"seen; queue both directions of TCP, or set connection.Config.OneWay", "flow", c.flow)
	}
	return nfqueue.Drop
}

// holdBack returns the verdict for a packet of a direction of a connection that is undecided, so
// that nothing of what it says leaves.
func (t *Tracker) holdBack(
	c *Conn, p *nfqueue.Packet, s *segment, d Direction, fresh int, news News,
) nfqueue.Verdict {
	side := &c.sides[d]
	if news&Conflict != 0 {
		return nfqueue.Drop
	}
	if c.state&stateTCP != 0 {
		at := side.offset(s)
		end := at + len(s.body)
		known := fresh == 0 && end <= t.cfg.MaxBytes && at >= 0
		fin := s.flags&flagFIN != 0
		switch {
		case s.flags&flagRST != 0 && len(s.body) > 0 && p.SetBody(nil) != nil:
			return nfqueue.Drop
		case s.flags&flagRST != 0, len(s.body) == 0 && (!fin || !side.known):
			return nfqueue.Accept
		case fin && len(s.body) == 0 && c.hold == nil && at <= len(side.data):
			return nfqueue.Accept
		case known && !fin && c.hold != nil:
			t.stats.repeated.Add(1)
			return nfqueue.Drop
		}
	}
	if c.hold == nil {
		c.hold = &hold{c: c}
		c.since = t.now
		t.undecided.move(c)
	}
	if !t.held.add(c.hold, p, t.now) {
		t.decide(c, t.cfg.Fallback, limitTime, true)
		return t.decided(c, p, s, d)
	}
	for t.stats.held.Load() > int64(t.cfg.MaxHeld) {
		oldest := t.held.oldest()
		if oldest == nil { // expired meanwhile
			break
		}
		t.decide(oldest, t.cfg.Fallback, limitHeld, false)
	}
	return nfqueue.Deferred
}

// overdue ends the wait for an answer to c if its time has passed, and reports whether it
// has.
func (t *Tracker) overdue(c *Conn) bool {
	if c.list != &t.undecided {
		return false
	}
	if t.now-c.since < t.cfg.Timeout && (c.hold == nil || !t.held.expired(c.hold)) {
		return false
	}
	t.decide(c, t.cfg.Fallback, limitTime, false)
	return true
}

// decide gives c its answer, and the packets that are held their verdict. rejects says
// that the packet in hand is rejected, so that a held one need not be.
func (t *Tracker) decide(c *Conn, a Answer, l limit, rejects bool) {
	unproven := a == Accept && l == limitNone && !t.cfg.OneWay && c.needsProof()
	offload := t.cfg.Offload
	if unproven {
		offload = plain{}
	}
	if c.hold != nil && !t.held.release(c.hold, a, offload, !rejects) {
		a, l = t.cfg.Fallback, limits // which expire has counted
		unproven = false
	}
	switch {
	case l == limitNone:
		t.stats.answers[a].Add(1)
	case l < limits:
		t.stats.limit[l].Add(1)
	}
	c.answer, c.hold, c.Value = a, nil, nil
	for i := range c.sides {
		s := &c.sides[i]
		if s.ends = nil; !unproven {
			s.stream = stream{}
		}
	}
	t.charge(c, 0)
	if l != limits {
		t.stats.undecided.Add(-1)
	}
	c.since = t.now
	switch {
	case unproven:
		t.await(c)
	case c.state&stateOver != 0:
		t.ended.move(c)
	case c.state&stateTCP != 0:
		t.streams.move(c)
	default:
		t.datagrams.move(c)
	}
}

// decided returns the verdict for a packet of a connection that is decided.
func (t *Tracker) decided(c *Conn, p *nfqueue.Packet, s *segment, d Direction) nfqueue.Verdict {
	if c.state&stateTCP != 0 && (s.flags&(flagFIN|flagRST) != 0 || c.state&stateOver != 0) {
		t.noteEnd(c, s, d)
	}
	if c.state&stateEmptyPass != 0 && len(s.body) == 0 {
		return nfqueue.Accept
	}
	switch c.answer {
	case Accept:
		return t.accepted(c, p)
	case Reject:
		return t.cfg.Offload.Reject(p)
	}
	return t.cfg.Offload.Drop(p)
}

// noteEnd notes what a packet says of the end of a decided connection. The receiver may ignore a
// reset.
func (t *Tracker) noteEnd(c *Conn, s *segment, d Direction) {
	side := &c.sides[d]
	switch over := c.state&stateOver != 0; {
	case s.flags&flagRST != 0:
		if over || c.state&stateUnproven != 0 && !c.ends(s, d) {
			return
		}
	case s.flags&flagFIN != 0 && !over:
		if !side.ended {
			side.ended, side.fin = true, int32(side.offset(s)+len(s.body))
		}
		if c.state&stateUnproven != 0 || !c.closed() {
			return
		}
	case over && d == Reply && c.answer == Accept && c.state&stateEmptyPass == 0 && !c.closed():
		c.state &^= stateOver // the server goes on
		c.since = t.now
		t.streams.move(c)
		return
	default:
		return
	}
	if c.list == &t.unproven {
		t.letGo(c)
	}
	c.state |= stateOver
	c.since = t.now
	t.ended.move(c)
}

// closed reports whether both ends have sent a FIN.
func (c *Conn) closed() bool { return c.sides[Original].ended && c.sides[Reply].ended }

// accepted returns the verdict for a packet of a connection that is accepted.
func (t *Tracker) accepted(c *Conn, p *nfqueue.Packet) nfqueue.Verdict {
	if c.state&stateUnproven != 0 {
		return nfqueue.Accept
	}
	return t.cfg.Offload.Accept(p)
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
