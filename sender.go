// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chifflier/nfqueue-go/internal/transport"
)

// sender collects verdicts and sends them together, from whatever goroutine they
// come. Datagrams leave one at a time and in the order in which their verdicts
// were added; a VERDICT_BATCH relies on that.
type sender struct {
	conn     transport.Conn
	template *verdictTemplate
	max      int
	fallback Verdict
	log      *limitedLog
	stats    *counters
	noBatch  *atomic.Bool // set when a packet waits whose verdict cannot be sent

	mu      sync.Mutex
	idle    sync.Cond // sending has become false
	open    *outgoing // takes new verdicts
	spare   *outgoing
	number  uint64 // of open, counting datagrams
	sent    uint64 // the number of the last datagram that was sent
	sending bool
	again   bool // open is to be sent too, by whoever is sending or by relay
	relay   *time.Timer
	err     error

	bound    time.Duration
	since    time.Duration // when the oldest verdict in open was decided
	watchdog *time.Timer
	watching bool
	interval time.Duration // until the watchdog looks
	watched  uint64        // number when it last did
}

// The watchdog's interval is how much longer than the flush bound a verdict may wait
// while a handler that was called after it does not return. Every look wakes a thread,
// which a busy queue pays for: while nothing is overdue the interval grows.
const (
	minWatchInterval = time.Millisecond
	maxWatchInterval = 16 * time.Millisecond
)

func newSender(conn transport.Conn, cfg Config, stats *counters, log *limitedLog, noBatch *atomic.Bool) *sender {
	s := &sender{
		conn: conn, template: newVerdictTemplate(cfg.Queue), max: conn.MaxSend(),
		fallback: cfg.Fallback, log: log, stats: stats, noBatch: noBatch,
		open: newOutgoing(), spare: newOutgoing(), number: 1, bound: cfg.FlushAfter,
		interval: minWatchInterval,
	}
	s.idle.L = &s.mu
	s.watchdog = time.AfterFunc(time.Hour, s.bite)
	s.watchdog.Stop()
	s.relay = time.AfterFunc(time.Hour, s.kick)
	s.relay.Stop()
	return s
}

// started is the zero of the monotonic clock that now reads.
var started = time.Now()

func now() time.Duration { return time.Since(started) }

// add takes the verdict for packet id. p holds its edits, nil for none; its payload
// must not change until a flush has returned. batch is as for outgoing.add. since
// and t are when its handler was called and when it returned: add reports whether
// the oldest verdict has been kept for longer than the flush bound at t. last says
// that the caller flushes next.
func (s *sender) add(id uint32, v Verdict, p *Packet, batch, last bool, since, t time.Duration) (due bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	full := s.makeRoom(p)
	if s.open.count == 0 {
		s.since = since
		if !last && !s.watching {
			s.watching = true
			s.watchdog.Reset(s.interval)
		}
	}
	s.open.kinds.count(v)
	s.open.add(s.template, id, v, p, batch)
	due = t-s.since >= s.bound
	s.sendFull(full)
	return due
}

// addCounted is add for a verdict, decided at t, that is part of no batch and that the
// caller counts himself. He kicks next.
func (s *sender) addCounted(id uint32, v Verdict, p *Packet, t time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	full := s.makeRoom(p)
	if s.open.count == 0 {
		s.since = t
	}
	s.open.add(s.template, id, v, p, false)
	s.sendFull(full)
}

// makeRoom takes what is open if a verdict with the edits of p does not fit, for the caller
// to send when he has added his: were it sent before, others could fill the next.
func (s *sender) makeRoom(p *Packet) (full *outgoing) {
	for s.open.count > 0 && !s.open.room(p, s.max) {
		if !s.sending {
			return s.take()
		}
		s.idle.Wait()
	}
	return nil
}

// sendFull sends what makeRoom has taken, and what others have kicked for meanwhile.
func (s *sender) sendFull(full *outgoing) {
	if full != nil {
		s.sendTaken(full)
		s.sendAgain()
	}
}

// flush sends everything that was added before the call, and returns when the
// kernel has acted on it.
func (s *sender) flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.flushLocked()
}

func (s *sender) flushLocked() error {
	target := s.number
	if s.open.count == 0 {
		target--
	}
	for s.sent < target {
		if s.sending {
			s.idle.Wait()
		} else {
			s.sendLocked()
		}
	}
	s.sendAgain()
	return s.err
}

// kick has everything sent that was added before the call: now or, if another
// goroutine is sending, as soon as that is done.
func (s *sender) kick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.again = true
	s.sendAgain()
}

// maxRounds is how many datagrams a caller sends for himself and for others who kick
// meanwhile, before he leaves those to the relay.
const maxRounds = 2

// sendAgain sends what others have kicked for, also while it does so itself, unless
// somebody is sending, who will. A caller who was kept as long as others go on kicking
// would never return.
func (s *sender) sendAgain() {
	for rounds := 0; s.again && !s.sending; rounds++ {
		if rounds == maxRounds {
			s.relay.Reset(0)
			return
		}
		s.again = false
		if s.open.count > 0 {
			s.sendLocked()
		}
	}
}

// sendLocked sends the open datagram. The lock is free meanwhile.
func (s *sender) sendLocked() { s.sendTaken(s.take()) }

// take begins to send the open datagram: nobody else does until sendTaken has been called
// with it.
func (s *sender) take() *outgoing {
	o := s.open
	s.open, s.spare = s.spare, nil
	s.number++
	s.sending = true
	o.kinds.publish(s.stats) // what others see of the packets, Stats knows
	return o
}

func (s *sender) sendTaken(o *outgoing) {
	s.mu.Unlock()
	err := s.deliver(o)
	o.reset()
	s.mu.Lock()
	s.spare, s.sending = o, false
	s.sent++
	if err != nil {
		s.err = err
	}
	s.idle.Broadcast()
}

// deliver sends o, whole or, where that fails, message by message. The error is
// that of a socket which cannot be used any more.
func (s *sender) deliver(o *outgoing) error {
	s.stats.sends.Add(1)
	var err error
	if len(o.firsts) == 0 || !s.noBatch.Load() { // or it has batches that must not go out any more
		err = s.conn.Send(o.datagram())
		if err == nil {
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			s.stats.unsent.Add(uint64(o.count))
			return err
		}
		s.log.warn(logSend, "nfqueue: sending verdicts together failed; sending them one by one", "verdicts", o.count, "error", err)
	}
	left := o.count
	one := func(m message) bool {
		if err = s.deliverOne(m); err == nil {
			left -= m.count()
		}
		return err == nil
	}
	o.messages(func(m message) bool {
		if m.first == m.id() || !s.noBatch.Load() {
			return one(m)
		}
		// A verdict before this batch could not be sent: the batch would decide that
		// packet too.
		for id := m.first; ; id++ {
			if !one(message{head: s.template.append(nil, id, m.verdict()), first: id}) {
				return false
			}
			if id == m.id() {
				return true
			}
		}
	})
	s.stats.unsent.Add(uint64(left))
	return err
}

// sendAttempts is how often a verdict is tried for which the kernel has no memory
// at the moment. The pauses between them double, from sendPause on, to ten
// milliseconds in all.
const (
	sendAttempts = 10
	sendPause    = 10 * time.Microsecond
)

func (s *sender) deliverOne(m message) error {
	stampDatagram(m.head, m.count())
	pieces := [][]byte{m.head}
	if len(m.payload) > 0 {
		pieces = append(pieces, m.payload)
	}
	if len(m.pad) > 0 {
		pieces = append(pieces, m.pad)
	}
	var err error
	for i := range sendAttempts {
		if err = s.conn.Send(pieces); err == nil || errors.Is(err, net.ErrClosed) {
			return err
		}
		if len(m.payload) > 0 && len(pieces) > 1 { // a small message may still go through
			pieces = [][]byte{s.template.append(nil, m.id(), s.fallback)}
			stampDatagram(pieces[0], 1)
			s.stats.fallbackSend.Add(1)
			s.stats.overrule(m.verdict(), s.fallback)
		}
		if transient(err) && i < sendAttempts-1 {
			time.Sleep(sendPause << i)
		}
	}
	s.noBatch.Store(true)
	s.stats.unsent.Add(uint64(m.count()))
	s.log.error(logSend, "nfqueue: a verdict could not be sent; its packet waits in the kernel until the queue is closed", "id", m.id(), "error", err)
	return nil
}

// exclusive calls fn while nothing else is being sent.
func (s *sender) exclusive(fn func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.sending {
		s.idle.Wait()
	}
	return fn()
}

// bite makes sure that a handler which does not return keeps no earlier verdict
// from leaving. It runs once an interval while batches are being handled and is
// not started for a lone packet.
func (s *sender) bite() {
	s.mu.Lock()
	overdue := s.open.count > 0 && now()-s.since >= s.bound
	s.watching = s.open.count > 0 || s.number != s.watched
	s.watched = s.number
	if s.watching && !overdue {
		s.interval = min(2*s.interval, maxWatchInterval)
	} else {
		s.interval = minWatchInterval
	}
	if s.watching {
		s.watchdog.Reset(s.interval)
	}
	s.mu.Unlock()
	if overdue {
		s.kick()
	}
}

// close does not stop the relay, which has verdicts to count as unsent.
func (s *sender) close() { s.watchdog.Stop() }
