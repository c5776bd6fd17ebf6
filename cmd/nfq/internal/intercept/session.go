// SPDX-License-Identifier: GPL-2.0-or-later

// Package intercept hands the packets of rules to a handler for a while, and ends
// without losing one: it opens the queues, installs the rules, and removes both in the
// order that package rules asks for.
package intercept

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/rules"
)

// Config says which packets are intercepted.
type Config struct {
	// Rules are installed for as long as the session lasts. Without any, rules that
	// somebody else has installed send packets to the queue of Queue.
	Rules []rules.Rule
	// AnyQueue has each queue that Rules name stand for one that nobody uses.
	AnyQueue bool
	// Queue configures the queues. Its number is used without Rules only. Its NetNS is that of the rules too.
	Queue nfqueue.Config
	// Queues is the number of consecutive queues without Rules, 0 being one.
	Queues uint16
	// Flags are asked of the kernel, and done without where it does not have them.
	Flags nfqueue.Flags
}

// Session has queues and rules. Serve has to be called, and ends it.
type Session struct {
	cfg    Config
	queues []*nfqueue.Queue
	rules  []rules.Rule
	set    *rules.Set // nil without rules

	mu   sync.Mutex
	full []uint64 // of Counts, as the kernel last said
}

// Open opens the queues and installs the rules.
func Open(cfg Config) (*Session, error) {
	s := &Session{cfg: cfg}
	if err := s.open(); err != nil {
		// Nothing waits: there is no rule yet, or it was not ours to install.
		return nil, errors.Join(err, s.close())
	}
	s.full = make([]uint64, len(s.queues))
	return s, nil
}

func (s *Session) open() error {
	switch {
	case len(s.cfg.Rules) == 0:
		for i := range max(s.cfg.Queues, 1) {
			if err := s.openQueue(s.cfg.Queue.Queue + i); err != nil {
				return err
			}
		}
		return nil
	case s.cfg.AnyQueue:
		if err := s.openAny(); err != nil {
			return err
		}
	default:
		s.rules = s.cfg.Rules
		for _, r := range s.rules {
			for i := range max(r.Queues, 1) {
				if err := s.openQueue(r.Queue + i); err != nil {
					return err
				}
			}
		}
	}
	// The queues come first: should one be in use there is no rule to be removed, which would cost others
	// the packets that wait in their queues.
	set, err := rules.Install(rules.Config{NetNS: s.cfg.Queue.NetNS, Logger: s.cfg.Queue.Logger},
		s.rules...)
	s.set = set
	return err
}

// Queues that openAny tries, far from the numbers that people choose.
const (
	firstAny = 60000
	triesAny = 1000
)

// openAny opens queues that nobody has bound, and has the rules name them.
func (s *Session) openAny() error {
	cfg := s.cfg.Queue
	cfg.Queue = firstAny
	chosen := make(map[uint16]uint16)
	for _, r := range s.cfg.Rules {
		if _, ok := chosen[r.Queue]; !ok {
			q, err := openUnused(cfg)
			if err == nil {
				err = s.add(q)
			}
			if err != nil {
				return err
			}
			chosen[r.Queue] = q.Number()
			cfg.Queue = q.Number() + 1
		}
		r.Queue, r.Queues = chosen[r.Queue], 1
		s.rules = append(s.rules, r)
	}
	return nil
}

// openUnused opens the first queue from cfg.Queue on that nobody has bound.
func openUnused(cfg nfqueue.Config) (q *nfqueue.Queue, err error) {
	for range triesAny {
		if q, err = nfqueue.Open(cfg); !errors.Is(err, nfqueue.ErrQueueInUse) {
			break
		}
		cfg.Queue++
	}
	return q, err
}

// openQueue opens a queue, unless the session has it already.
func (s *Session) openQueue(number uint16) error {
	for _, q := range s.queues {
		if q.Number() == number {
			return nil
		}
	}
	cfg := s.cfg.Queue
	cfg.Queue = number
	q, err := nfqueue.Open(cfg)
	if err != nil {
		return err
	}
	return s.add(q)
}

// add makes a queue one of the session.
func (s *Session) add(q *nfqueue.Queue) error {
	s.queues = append(s.queues, q)
	for flag := nfqueue.Flags(1); flag <= s.cfg.Flags; flag <<= 1 {
		if s.cfg.Flags&flag == 0 {
			continue
		}
		if err := q.SetFlags(flag, flag); err != nil && !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	return nil
}

// Rules returns the rules as they are installed.
func (s *Session) Rules() []rules.Rule { return s.rules }

// Queues returns the numbers of the queues.
func (s *Session) Queues() []uint16 {
	var numbers []uint16
	for _, q := range s.queues {
		numbers = append(numbers, q.Number())
	}
	return numbers
}

// Owned reports whether the kernel removes the rules when the process is killed, see
// rules.Set.Owned. Without rules there is nothing to remove.
func (s *Session) Owned() bool { return s.set == nil || s.set.Owned() }

// Table returns the name of the table with the rules, "" without rules.
func (s *Session) Table() string {
	if s.set == nil {
		return ""
	}
	return s.set.Table()
}

// drainTimeout is how long packets that wait at the end may take.
const drainTimeout = 5 * time.Second

// Serve has the handler decide packets until ctx ends, several at once if there are several queues. Then it removes the
// rules, has the handler decide what waits in the queues, and closes them.
func (s *Session) Serve(ctx context.Context, h nfqueue.Handler) error {
	served := make(chan error, len(s.queues))
	for _, q := range s.queues {
		go func() {
			err := q.Serve(context.WithoutCancel(ctx), h)
			if errors.Is(err, nfqueue.ErrClosed) { // Shutdown came first
				err = nil
			}
			served <- err
		}()
	}
	var errs []error
	running := len(s.queues)
	select {
	case <-ctx.Done():
	case err := <-served:
		running--
		errs = append(errs, err)
	}
	if s.set != nil {
		errs = append(errs, s.set.Stop())
	}
	s.Counts() // which the kernel forgets with the queues
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	for _, q := range s.queues {
		errs = append(errs, q.Shutdown(drain))
	}
	for range running {
		errs = append(errs, <-served)
	}
	return errors.Join(append(errs, s.close())...)
}

// Counts are of the packets that rules have sent to a queue.
type Counts struct {
	Received uint64
	Lost     uint64 // the receive buffer was full
	Full     uint64 // the queue was full
}

// Counts returns those of each queue, in the order of Queues, also when Serve has returned.
func (s *Session) Counts() []Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Counts
	for i, q := range s.queues {
		st := q.Stats()
		if st.Kernel != nil {
			s.full[i] = uint64(st.Kernel.QueueDropped)
		}
		all = append(all, Counts{st.Received, st.Lost, s.full[i]})
	}
	return all
}

// close gives everything up.
func (s *Session) close() error {
	var errs []error
	for _, q := range s.queues {
		errs = append(errs, q.Close())
	}
	if s.set != nil {
		errs = append(errs, s.set.Close())
	}
	return errors.Join(errs...)
}
