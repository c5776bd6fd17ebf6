// SPDX-License-Identifier: GPL-2.0-or-later

package rules

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// Config says where Install installs rules. The zero value is the current network
// namespace.
type Config struct {
	// NetNS is a descriptor of the network namespace that gets the rules, as from
	// opening /proc/PID/ns/net. Zero is the current one. It may be closed after
	// Install.
	NetNS int
	// Logger gets a warning about packets of other programs that Install has the kernel queue
	// twice, or Set.Close has it drop. It may call the methods of the Set. Nil is slog.Default.
	Logger *slog.Logger
}

// QuietTimeout is how long Set.Close waits, twice if rules use connection tracking.
const QuietTimeout = 5 * time.Second

// Set is rules in the kernel. Its methods may be used by several goroutines at once.
type Set struct {
	name string

	mu      sync.Mutex
	tables  *tables // nil once closed
	owned   bool
	stopped bool
}

// Install puts rules into the kernel, all of them or none. Those of one hook and
// priority are visited in the order given. The rules are in effect when Install
// returns, and for as long as Set.Owned says. Install waits up to a second for a moment at
// which no packet waits in any queue of the network namespace, since the kernel may queue
// such packets once more.
//
// An error wraps a *FieldError if a rule makes no sense; errors.ErrUnsupported if the
// kernel has no nf_tables or no way to queue, and on systems other than Linux; and
// fs.ErrPermission without CAP_NET_ADMIN.
func Install(cfg Config, rules ...Rule) (*Set, error) {
	if cfg.NetNS < 0 {
		return nil, errors.New("rules: install: Config.NetNS must not be negative")
	}
	if err := validate(rules); err != nil {
		return nil, err
	}
	s, err := install(cfg, normal(rules))
	if err != nil {
		return nil, fmt.Errorf("rules: install: %w", err)
	}
	return s, nil
}

func normal(rules []Rule) []Rule {
	all := make([]Rule, len(rules))
	for i, r := range rules {
		all[i] = r.normal()
	}
	return all
}

// validate refuses rules that cannot be installed together.
func validate(rules []Rule) error {
	if len(rules) == 0 {
		return errors.New("rules: install: no rules given")
	}
	for i, r := range rules {
		if err := r.Validate(); err != nil {
			return fmt.Errorf("rules: install: rule %d (%v): %w", i+1, r, err)
		}
	}
	if err := checkMasks(rules); err != nil {
		return fmt.Errorf("rules: install: %w", err)
	}
	return nil
}

// Table returns the name of the table that holds the rules. It is of the family inet,
// and there is another one of the same name for rules of FamilyBridge. Nobody else in
// the network namespace uses the name.
func (s *Set) Table() string { return s.name }

// Owned reports whether the kernel removes the rules when the process ends, however
// that happens, and lets nobody else change them (NFT_TABLE_F_OWNER, Linux 5.12).
// Older kernels leave the rules behind when a process ends without Close; they can be
// deleted by the name of the table. Packets pass them as long as nobody has bound
// the queue, unless the rules have NoBypass.
func (s *Set) Owned() bool { return s.owned }

// Stop removes the rules that queue: no more packets are queued by them. What is in a queue stays
// there, and the rules stay that carry out the decisions of an Offload. Calling it again, or after
// Close, does nothing.
func (s *Set) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped || s.tables == nil {
		return nil
	}
	if err := s.tables.stopQueueing(); err != nil {
		return fmt.Errorf("rules: stop: %w", err)
	}
	s.stopped = true
	return nil
}

// Close removes the rules that queue, as Stop does, and then the rest. With a chain its hook
// is unregistered, and the kernel then drops all packets that wait in any queue of the
// network namespace, also in those of other programs. So Close waits until it finds all queues
// empty and no packet seems due, for QuietTimeout at most, and warns the Logger of each queue that
// is not empty by then. A packet that is queued in the last moment may still be lost. If there is
// no other queue, or /proc says nothing of queues, as in some user namespaces, Close does not wait.
//
// End the use of your own queues before; see the package documentation for the order. Calling
// Close again does nothing.
func (s *Set) Close() error {
	s.mu.Lock()
	t := s.tables
	if t == nil {
		s.mu.Unlock()
		return nil
	}
	err := t.close()
	s.tables = nil
	s.mu.Unlock()
	t.tell()
	if err != nil {
		return fmt.Errorf("rules: close: %w", err)
	}
	return nil
}

// File returns a duplicate of the socket that owns the rules, for a process that takes them over
// together with the queue, see nfqueue.Queue.File: pass both files in exec.Cmd.ExtraFiles, have
// the new process call nfqueue.OpenFile and OpenFile, and call Release of both when it has. No hook
// comes or goes with that, so no packet is lost or queued twice. The rules stay as long as any
// process has the socket open. The caller closes the file.
//
// File fails with errors.ErrUnsupported unless the Set is Owned.
func (s *Set) File() (*os.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tables == nil {
		return nil, errors.New("rules: duplicate the socket: the set is closed")
	}
	if !s.owned {
		return nil, fmt.Errorf("rules: duplicate the socket: rules without an owner stay anyway "+
			"(before Linux 5.12): %w", errors.ErrUnsupported)
	}
	f, err := s.tables.file()
	if err != nil {
		return nil, fmt.Errorf("rules: duplicate the socket: %w", err)
	}
	return f, nil
}

// OpenFile takes over rules with the socket that Set.File returned in another process, and
// replaces them by others, or by the same, in one transaction. cfg.NetNS must be where they
// are. A hook and priority that both have is not touched. One that is new is registered at once,
// without the wait of Install; one that is no longer used stays, without rules, until Close. f
// stays the caller's and may be closed afterwards.
//
// The other process must not call Stop or Close any more, but Release. If OpenFile fails the rules
// are as they were.
func OpenFile(f *os.File, cfg Config, rules ...Rule) (*Set, error) {
	if err := validate(rules); err != nil {
		return nil, err
	}
	s, err := takeOver(f, cfg, normal(rules))
	if err != nil {
		return nil, fmt.Errorf("rules: take over: %w", err)
	}
	return s, nil
}

// Release ends the use of the rules by this process and leaves them to another, which has called
// OpenFile. If none has, it is like being killed, see the package documentation. Stop, Close and
// Release then do nothing.
func (s *Set) Release() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tables == nil {
		return nil
	}
	err := s.tables.release()
	s.tables = nil
	if err != nil {
		return fmt.Errorf("rules: release: %w", err)
	}
	return nil
}
