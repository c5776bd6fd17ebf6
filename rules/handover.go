// SPDX-License-Identifier: GPL-2.0-or-later

package rules

import (
	"errors"
	"fmt"
	"os"
)

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
// are. A hook and priority that both have is not touched. One that is new is registered, as by
// Install; one that is no longer used stays, without rules, until Close. f stays the caller's
// and may be closed afterwards.
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
