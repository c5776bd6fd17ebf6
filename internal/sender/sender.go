// SPDX-License-Identifier: GPL-2.0-or-later

// Package sender collects verdicts and sends them together. It knows no packets, only their
// ids and edits.
package sender

import (
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chifflier/nfqueue-go/internal/kernel"
	"github.com/chifflier/nfqueue-go/internal/nfqmsg"
	"github.com/chifflier/nfqueue-go/internal/transport"
)

// Config is what a Sender needs.
type Config struct {
	Conn  transport.Conn
	Queue uint16 // its number
	// FlushAfter bounds how long a verdict waits for others to be sent with.
	FlushAfter time.Duration
	// Fallback is the verdict for a packet whose payload cannot be sent.
	Fallback uint32
	Log      *Log
}

// Sender collects verdicts from any goroutine and sends them together. Datagrams leave one
// at a time and in the order in which their verdicts were added; a VERDICT_BATCH relies on
// that.
type Sender struct {
	Config
	Counters Counters

	max     int         // bytes in a datagram
	noBatch atomic.Bool // some packet may never get a verdict, so batches are unsafe

	mu      sync.Mutex
	idle    sync.Cond     // sending has become false
	sending bool          // one goroutine sends, without the lock
	open    *datagram     // gets new verdicts
	spare   *datagram     // becomes open while open is sent
	number  uint64        // of open, counting datagrams
	sent    uint64        // the number of the last datagram that was sent
	again   bool          // open is to be sent too, by the goroutine that sends or by relay
	err     error         // why the socket cannot be used any more
	since   time.Duration // when the handler of the oldest verdict in open was called

	relay    *time.Timer
	watchdog watchdog
}

// datagram is a datagram of verdicts and their numbers by kind.
type datagram struct {
	*nfqmsg.Outgoing
	kinds tally // of those that the caller does not count
}

// New makes a Sender.
func New(c Config) *Sender {
	s := &Sender{
		Config: c, max: c.Conn.MaxSend(), number: 1,
		open:  &datagram{Outgoing: nfqmsg.NewOutgoing(c.Queue)},
		spare: &datagram{Outgoing: nfqmsg.NewOutgoing(c.Queue)},
	}
	s.idle.L = &s.mu
	s.watchdog.init(c.FlushAfter, s.flushOverdue)
	s.relay = time.AfterFunc(time.Hour, s.Kick)
	s.relay.Stop()
	return s
}

// started is the zero of the monotonic clock that Now reads.
var started = time.Now()

// Now returns the time on a monotonic clock.
func Now() time.Duration { return time.Since(started) }

// Verdict is the verdict for one packet, and when it was decided.
type Verdict struct {
	nfqmsg.Decision
	// Called and Returned are when the handler was called, and when it returned.
	Called, Returned time.Duration
	// SendNext says that the caller calls Flush or Kick next.
	SendNext bool
	// Holder, if there is one, holds the packet, and counts the verdict.
	Holder Holder
}

// Holder has packets that wait for a verdict. Added is called when the verdict is added, before
// anything is logged: a Logger may wait until no packet waits.
type Holder interface{ Added() }

// Add adds a verdict. The payload among its edits must not change before a Flush has
// returned. Add reports whether the oldest verdict has been kept for longer than FlushAfter.
func (s *Sender) Add(v Verdict) (due bool) {
	v.Batch = v.Batch && !s.noBatch.Load()
	var full *datagram
	s.mu.Lock()
	for full == nil && s.open.Count() > 0 && !s.open.Room(v.Edits, s.max) {
		if s.sending {
			s.idle.Wait()
		} else {
			full = s.beginLocked()
		}
	}
	if s.open.Count() == 0 {
		s.since = v.Called
		if !v.SendNext {
			s.watchdog.startLocked()
		}
	}
	if v.Holder == nil {
		s.open.kinds.count(v.Word)
	}
	s.open.Add(v.Decision)
	due = v.Returned-s.since >= s.FlushAfter
	s.mu.Unlock()
	if v.Holder != nil {
		v.Holder.Added()
	}
	if full != nil { // not before adding: another goroutine could have filled the next one
		s.send(full)
		s.sendAgain()
	}
	return due
}

// Flush sends everything that was added before the call, and returns when the kernel has
// acted on it.
func (s *Sender) Flush() error {
	s.mu.Lock()
	target := s.number
	if s.open.Count() == 0 {
		target--
	}
	for s.sent < target {
		if s.sending {
			s.idle.Wait()
			continue
		}
		o := s.beginLocked()
		s.mu.Unlock()
		s.send(o)
		s.mu.Lock()
	}
	err, again := s.err, s.again
	s.mu.Unlock()
	if again {
		s.sendAgain()
	}
	return err
}

// Kick has everything sent that was added before the call: now, or as soon as the goroutine
// that is sending has done that.
func (s *Sender) Kick() {
	s.mu.Lock()
	s.again = true
	s.mu.Unlock()
	s.sendAgain()
}

// maxRounds bounds how many datagrams one caller sends on behalf of others. The relay sends
// the rest, so that every caller returns.
const maxRounds = 2

// sendAgain sends what others have kicked for. A goroutine that sends calls it next.
func (s *Sender) sendAgain() {
	for rounds := 0; ; rounds++ {
		s.mu.Lock()
		if !s.again || s.sending {
			s.mu.Unlock()
			return
		}
		if rounds == maxRounds {
			s.relay.Reset(0)
			s.mu.Unlock()
			return
		}
		var o *datagram
		if s.again = false; s.open.Count() > 0 {
			o = s.beginLocked()
		}
		s.mu.Unlock()
		if o != nil {
			s.send(o)
		}
	}
}

// beginLocked makes the caller the goroutine that sends, which calls send next with the
// datagram that was open.
func (s *Sender) beginLocked() *datagram {
	o := s.open
	s.open, s.spare = s.spare, nil
	s.number++
	s.sending = true
	o.kinds.publish(&s.Counters) // Stats counts a verdict before others see its effect
	return o
}

// send sends what beginLocked returned. It logs afterwards: a Logger may call anything.
func (s *Sender) send(o *datagram) {
	failures, err := s.deliver(o)
	o.Reset()
	s.mu.Lock()
	s.spare, s.sending = o, false
	s.sent++
	if err != nil {
		s.err = err
	}
	s.idle.Broadcast()
	s.mu.Unlock()
	for _, f := range failures {
		s.Log.Write(f.level, KindSend, f.msg, f.args...)
	}
}

// Exclusive calls fn while nothing else is being sent.
func (s *Sender) Exclusive(fn func() error) error {
	s.mu.Lock()
	for s.sending {
		s.idle.Wait()
	}
	s.sending = true
	s.mu.Unlock()
	err := fn()
	s.mu.Lock()
	s.sending = false
	s.idle.Broadcast()
	s.mu.Unlock()
	s.sendAgain()
	return err
}

// ForbidBatch makes every later verdict a message of its own, for ever: some packet may
// never get a verdict, and a batch would decide it in passing.
func (s *Sender) ForbidBatch() { s.noBatch.Store(true) }

// failure is a line for the log.
type failure struct {
	level slog.Level
	msg   string
	args  []any
}

// deliver sends o, whole or, where that fails, message by message. The error is that of a
// socket which cannot be used any more.
func (s *Sender) deliver(o *datagram) (failures []failure, err error) {
	s.Counters.Sends.Add(1)
	if !o.HasBatch() || !s.noBatch.Load() { // o may have batches that must not leave any more
		err = s.Conn.Send(o.Datagram())
		if err == nil {
			return nil, nil
		}
		if errors.Is(err, net.ErrClosed) {
			s.Counters.Unsent.Add(uint64(o.Count()))
			return nil, err
		}
		failures = append(failures, failure{slog.LevelWarn,
			"nfqueue: sending verdicts together failed; sending them one by one",
			[]any{"verdicts", o.Count(), "error", err}})
	}
	left := o.Count()
	one := func(m nfqmsg.Message) bool {
		f, e := s.deliverOne(m)
		if failures = append(failures, f...); e != nil {
			err = e
			return false
		}
		left -= m.Count()
		return true
	}
	err = nil
	for m := range o.Messages {
		if m.Count() == 1 || !s.noBatch.Load() {
			if !one(m) {
				break
			}
			continue
		}
		// A verdict before this batch could not be sent: the batch would decide that packet
		// too.
		for m := range m.Singles {
			if !one(m) {
				break
			}
		}
		if err != nil {
			break
		}
	}
	s.Counters.Unsent.Add(uint64(left))
	return failures, err
}

// Attempts and Pause say how often something is sent for which the kernel has no memory at
// the moment. The pauses double, from Pause on, to ten milliseconds in all.
const (
	Attempts = 10
	Pause    = 10 * time.Microsecond
)

// deliverOne sends a message alone. The error is that of a closed socket.
func (s *Sender) deliverOne(m nfqmsg.Message) (failures []failure, err error) {
	for i := range Attempts {
		if err = s.Conn.Send(m.Datagram()); err == nil || errors.Is(err, net.ErrClosed) {
			return nil, err
		}
		if m.HasPayload() { // a small message may still go through
			s.Counters.FallbackSend.Add(1)
			s.Counters.overrule(m.Word(), s.Fallback)
			m = m.Plain(s.Fallback)
		}
		if Transient(err) && i < Attempts-1 {
			time.Sleep(Pause << i)
		}
	}
	s.ForbidBatch()
	s.Counters.Unsent.Add(uint64(m.Count()))
	return []failure{{slog.LevelError,
		"nfqueue: a verdict could not be sent; its packet waits in the kernel until the queue is closed",
		[]any{"id", m.ID(), "error", err}}}, nil
}

// Transient reports whether an error of a Conn says nothing about the socket.
func Transient(err error) bool {
	return errors.Is(err, kernel.Error(kernel.ENOBUFS)) ||
		errors.Is(err, kernel.Error(kernel.ENOMEM)) || errors.Is(err, kernel.Error(kernel.EAGAIN))
}

// flushOverdue flushes if the oldest verdict exceeds FlushAfter, also while a handler does
// not return. The watchdog calls it.
func (s *Sender) flushOverdue() {
	s.mu.Lock()
	waiting, left := s.open.Count() > 0, s.since+s.FlushAfter-Now()
	s.watchdog.againLocked(s.number, waiting, left)
	s.mu.Unlock()
	if waiting && left <= 0 {
		s.Kick()
	}
}

// Close stops the watchdog. The relay goes on: it has verdicts to count as unsent.
func (s *Sender) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watchdog.timer.Stop()
}
