// SPDX-License-Identifier: GPL-2.0-or-later

package impair

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/intercept"
	"github.com/chifflier/nfqueue-go/internal/kernel"
	"github.com/chifflier/nfqueue-go/rules"
)

// Config says what a Session impairs, and how.
type Config struct {
	// Rules match the packets, by Way. There may be none for one of the ways.
	Rules [2][]rules.Rule
	// FixedQueues keeps the queues of the rules, of which each way has one of its own. Otherwise
	// queues are taken that nobody uses.
	FixedQueues bool
	// Settings are those at the start, by Way.
	Settings [2]Settings
	// Schedule changes the settings.
	Schedule Schedule
	// Seed makes chance repeatable.
	Seed uint64

	// CopyRange is how much of each packet the handler of Serve wants to see, in bytes.
	CopyRange uint32
	// Flags are requested from the kernel, and left out where it lacks them.
	Flags nfqueue.Flags
	// NetNS is a descriptor of a network namespace, zero is the current one.
	NetNS int
	// OnChange is called when the schedule has changed the settings of a way. It may be nil.
	OnChange func(Change)
	// Logger gets warnings and errors.
	Logger *slog.Logger
}

// Change is a change of settings, At after the start.
type Change struct {
	At       time.Duration
	Way      Way
	Settings Settings
}

// Session impairs the packets of some rules. The caller must call Serve, which ends it. When the
// process ends, in any way, the kernel removes the rules and packets pass as before.
type Session struct {
	*intercept.Session
	schedule Schedule
	onChange func(Change)
	ways     []*way
	stamps   io.Closer
	began    time.Time
}

// way is what a session has for each way that has rules.
type way struct {
	number  Way
	rules   []rules.Rule // with their queue
	handler *Handler
}

func (w *way) queue() uint16 { return w.rules[0].Queue }

// Report describes one way.
type Report struct {
	Way      Way
	Rules    []rules.Rule
	Queue    uint16
	Settings Settings
	Counters Counters
	// Overrun is the number of packets that the kernel dropped because this program was too slow.
	Overrun uint64
}

// Open opens the queues and installs the rules.
func Open(cfg Config) (_ *Session, err error) {
	stamps, err := stampArrivals()
	if err != nil {
		return nil, err
	}
	s := &Session{schedule: cfg.Schedule, onChange: cfg.OnChange, stamps: stamps}
	on := intercept.Config{AnyQueue: !cfg.FixedQueues, Flags: cfg.Flags}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	for _, step := range cfg.Schedule {
		if err := step.Settings.Validate(); err != nil {
			return nil, err
		}
	}
	var settings []Settings
	for number := range Way(len(cfg.Rules)) {
		if len(cfg.Rules[number]) == 0 {
			continue
		}
		settings = append(append(settings, cfg.Settings[number]), cfg.Schedule.of(number)...)
		handler, err := NewHandler(cfg.Seed, uint64(number), cfg.Settings[number])
		if err != nil {
			return nil, err
		}
		s.ways = append(s.ways, &way{number: number, handler: handler})
		for _, r := range cfg.Rules[number] {
			if !cfg.FixedQueues {
				r.Queue = uint16(number)
			}
			on.Rules = append(on.Rules, r)
		}
	}
	on.Queue = queueConfig(settings)
	on.Queue.CopyRange = max(on.Queue.CopyRange, cfg.CopyRange)
	on.Queue.NetNS, on.Queue.Logger = cfg.NetNS, cfg.Logger
	if s.Session, err = intercept.Open(on); err != nil {
		return nil, err
	}
	s.began = time.Now()
	installed := s.Rules()
	for _, w := range s.ways {
		n := len(cfg.Rules[w.number])
		w.rules, installed = installed[:n], installed[n:]
	}
	return s, nil
}

const (
	// headersOnly is the copy range for packets that are not altered.
	headersOnly = 128
	// unread is the number of packets that the receive buffer holds.
	unread = 4096
)

// queueConfig returns what the queues need for all settings that they will see.
func queueConfig(all []Settings) nfqueue.Config {
	_, frame := kernel.Charge()
	cfg := nfqueue.Config{
		Flags:      nfqueue.NoGSO, // decide each packet on the wire by itself
		CopyRange:  headersOnly,
		MaxLen:     unread,
		ReadBuffer: unread * frame,
		Fallback:   nfqueue.Accept,
	}
	limit := 0
	for _, s := range all {
		if s.Alters() {
			cfg.CopyRange = nfqueue.MaxPayload
		}
		limit = max(limit, s.limit())
	}
	cfg.MaxLen += uint32(limit)
	return cfg
}

// Serve has h decide packets, which must call ServePacket for each, and changes the settings as the
// schedule says, until ctx ends. Then it accepts the packets that wait at once, and removes the
// rules. No packet is lost.
func (s *Session) Serve(ctx context.Context, h nfqueue.Handler) error {
	ctx, cancel := context.WithCancel(ctx)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		s.follow(ctx)
		for _, w := range s.ways {
			w.handler.Stop()
		}
	}()
	err := s.Session.Serve(ctx, h)
	cancel()
	<-stopped
	return errors.Join(err, s.close())
}

// Pause lets all packets pass, also those that wait, and returns when none waits. The process can
// then be stopped without stopping the traffic. Serve must be running.
func (s *Session) Pause() error {
	for _, w := range s.ways {
		w.handler.Pause()
	}
	return s.Session.Pause()
}

// Resume impairs packets again.
func (s *Session) Resume() error {
	for _, w := range s.ways {
		w.handler.Resume()
	}
	return s.Session.Resume()
}

// close ends the handlers after the queues were closed.
func (s *Session) close() error {
	for _, w := range s.ways {
		w.handler.Close()
	}
	return s.stamps.Close()
}

// ServePacket impairs a packet. It may be called by several queues at once.
func (s *Session) ServePacket(p *nfqueue.Packet) nfqueue.Verdict {
	w := s.ways[0]
	if p.Queue() != w.queue() {
		w = s.ways[1]
	}
	return w.handler.ServePacket(p)
}

// follow changes the settings as the schedule says until ctx ends.
func (s *Session) follow(ctx context.Context) {
	for _, step := range s.schedule {
		timer := time.NewTimer(time.Until(s.began.Add(step.At)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		for _, w := range s.ways {
			if !slices.Contains(step.Ways, w.number) || w.handler.Settings() == step.Settings {
				continue
			}
			_ = w.handler.Set(step.Settings) // valid: Open checked them
			if s.onChange != nil {
				s.onChange(Change{step.At, w.number, step.Settings})
			}
		}
	}
	<-ctx.Done()
}

// Elapsed returns how long the session has lasted.
func (s *Session) Elapsed() time.Duration { return time.Since(s.began) }

// Report returns a report for each way that has rules.
func (s *Session) Report() []Report {
	counts := s.Counts() // in the order of the ways
	var all []Report
	for i, w := range s.ways {
		all = append(all, Report{
			Way: w.number, Rules: w.rules, Queue: w.queue(), Settings: w.handler.Settings(),
			Counters: w.handler.Counters(),
			Overrun:  counts[i].Lost + counts[i].Full,
		})
	}
	return all
}
