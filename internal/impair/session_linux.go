// SPDX-License-Identifier: GPL-2.0-or-later

package impair

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/intercept"
	"github.com/chifflier/nfqueue-go/rules"
)

// Config says what a Session impairs, and how.
type Config struct {
	// Rules match the packets. Their queue is chosen by Start, unless FixedQueue is set.
	Rules []rules.Rule
	// FixedQueue keeps the Queue of the first rule. The answers have the next one.
	FixedQueue bool
	// Settings are those at the start, by Way. With the second one there has to be BothWays.
	Settings [2]Settings
	// BothWays impairs the answers too.
	BothWays bool
	// Schedule changes the settings.
	Schedule Schedule
	// Seed makes chance repeatable.
	Seed uint64
	// NetNS is a descriptor of a network namespace, zero is the current one.
	NetNS int
	// Logger hears of trouble.
	Logger *slog.Logger
}

// Session impairs the packets of some rules until Close.
type Session struct {
	cfg    Config
	began  time.Time
	set    *rules.Set
	ways   []*way
	failed chan error
	end    func() error
}

// way is what a session has for each way.
type way struct {
	rules   []rules.Rule
	queue   *nfqueue.Queue
	handler *Handler
	served  chan struct{}
	overrun atomic.Uint64 // as last seen
}

// Report tells of one way.
type Report struct {
	Way      Way
	Rules    []rules.Rule
	Queue    uint16
	Settings Settings
	Counters Counters
	// Overrun is the number of packets that were dropped before they were seen: more came than this program keeps up with.
	Overrun uint64
}

// Start installs the rules and begins to impair. The rules are gone, and packets pass as if there had been nothing, when
// the process ends, however that happens.
func Start(cfg Config) (_ *Session, err error) {
	s := &Session{cfg: cfg, began: time.Now(), failed: make(chan error, 2)}
	s.end = sync.OnceValue(s.close)
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	each := [][]rules.Rule{cfg.Rules}
	if cfg.BothWays {
		back, err := Mirror(cfg.Rules)
		if err != nil {
			return nil, err
		}
		each = append(each, back)
	}
	queue := uint16(firstQueue)
	if cfg.FixedQueue {
		queue = cfg.Rules[0].Queue
	}
	var all []rules.Rule
	for i, r := range each {
		w, err := s.addWay(Way(i), queue)
		if err != nil {
			return nil, err
		}
		queue = w.queue.Number()
		for _, one := range r {
			one.Queue, one.Queues = queue, 1
			w.rules = append(w.rules, one)
		}
		all = append(all, w.rules...)
		queue++
	}
	if s.set, err = rules.Install(rules.Config{NetNS: cfg.NetNS}, all...); err != nil {
		return nil, err
	}
	s.began = time.Now()
	return s, nil
}

// firstQueue is where the search for unused queues starts, far from the numbers that people choose.
const firstQueue = 61000

// queuesTried is how many queues may be in use.
const queuesTried = 256

// addWay opens the queue of a way and begins to serve it.
func (s *Session) addWay(number Way, queue uint16) (*way, error) {
	settings := append([]Settings{s.cfg.Settings[number]}, s.cfg.Schedule.of(number)...)
	w := &way{served: make(chan struct{})}
	cfg := queueConfig(settings)
	cfg.Queue, cfg.NetNS, cfg.Logger = queue, s.cfg.NetNS, s.cfg.Logger
	tries := queuesTried
	if s.cfg.FixedQueue {
		tries = 1
	}
	var err error
	if w.queue, err = intercept.OpenUnused(cfg, tries); err != nil {
		return nil, err
	}
	if w.handler, err = NewHandler(s.cfg.Seed, uint64(number), settings[0]); err != nil {
		return nil, errors.Join(err, w.queue.Close())
	}
	s.ways = append(s.ways, w)
	go func() {
		defer close(w.served)
		// Shutdown ends it.
		if err := w.queue.Serve(context.Background(), w.handler); err != nil && !errors.Is(err, nfqueue.ErrClosed) {
			s.failed <- err
		}
	}()
	return w, nil
}

const (
	// headersOnly is enough of a packet that goes on unaltered.
	headersOnly = 128
	// unread is how many packets may wait to be looked at.
	unread = 4096
	// readBuffer holds as many full-size Ethernet frames, in the kernel's count.
	readBuffer = unread * 2304
)

// queueConfig returns what the queue needs for all settings that it will see.
func queueConfig(all []Settings) nfqueue.Config {
	cfg := nfqueue.Config{
		NoGSO:      true, // each packet on the wire has a fate of its own
		CopyRange:  headersOnly,
		MaxLen:     unread,
		ReadBuffer: readBuffer,
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

// Run changes the settings as the schedule says until ctx ends. The error is that of a queue which cannot be served any
// more.
func (s *Session) Run(ctx context.Context) error {
	rest := s.cfg.Schedule
	for {
		var next <-chan time.Time
		if len(rest) > 0 {
			timer := time.NewTimer(time.Until(s.began.Add(rest[0].At)))
			defer timer.Stop()
			next = timer.C
		}
		select {
		case <-next:
			if err := s.apply(rest[0]); err != nil {
				return err
			}
			rest = rest[1:]
		case err := <-s.failed:
			return err
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *Session) apply(step Step) error {
	for _, number := range step.Ways {
		if int(number) < len(s.ways) {
			if err := s.ways[number].handler.Set(step.Settings); err != nil {
				return err
			}
		}
	}
	return nil
}

// Elapsed returns how long the session has lasted.
func (s *Session) Elapsed() time.Duration { return time.Since(s.began) }

// Report tells of each way.
func (s *Session) Report() []Report {
	var all []Report
	for i, w := range s.ways {
		w.look()
		all = append(all, Report{
			Way: Way(i), Rules: w.rules, Queue: w.queue.Number(),
			Settings: w.handler.Settings(), Counters: w.handler.Counters(), Overrun: w.overrun.Load(),
		})
	}
	return all
}

// look asks for the number of packets that were dropped unseen, which is gone when the queue is closed.
func (w *way) look() {
	stats := w.queue.Stats()
	overrun := stats.Lost
	if stats.Kernel != nil {
		overrun += uint64(stats.Kernel.QueueDropped)
	}
	w.overrun.Store(max(overrun, w.overrun.Load()))
}

// closeLimit is how long Close waits for packets that are being decided.
const closeLimit = 5 * time.Second

// Close lets what waits go on at once, and removes the rules. No packet is lost. Calling it again does nothing.
func (s *Session) Close() error { return s.end() }

func (s *Session) close() error {
	var errs []error
	if s.set != nil {
		errs = append(errs, s.set.Stop())
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeLimit)
	defer cancel()
	for _, w := range s.ways {
		w.look()
		w.handler.Stop()
		if err := w.queue.Shutdown(ctx); !errors.Is(err, nfqueue.ErrClosed) {
			errs = append(errs, err)
		}
		<-w.served
		w.handler.Close()
	}
	if s.set != nil {
		errs = append(errs, s.set.Close())
	}
	return errors.Join(errs...)
}
