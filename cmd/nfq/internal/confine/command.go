// SPDX-License-Identifier: GPL-2.0-or-later

//go:build linux

package confine

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"syscall"

	"github.com/chifflier/nfqueue-go/internal/netlab"
	"golang.org/x/sys/unix"
)

// Status is the exit status of a command, as a shell reports it: 128 and the number of the signal
// that ended it, 126 if it cannot be run and 127 if it is not there.
type Status int

const (
	cannotRun Status = 126
	notFound  Status = 127
)

// Signals are those for a command, from a time before it starts.
type Signals struct {
	c chan os.Signal
}

// ending are the signals that keep a command from starting.
var ending = []os.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT}

// Catch keeps signals for the command that is to be run. Release it afterwards.
func Catch() *Signals {
	s := &Signals{make(chan os.Signal, 16)}
	for _, one := range append([]os.Signal{unix.SIGUSR1, unix.SIGUSR2}, ending...) {
		if !signal.Ignored(one) { // as with nohup, which the command inherits
			signal.Notify(s.c, one)
		}
	}
	return s
}

// Release ends Catch.
func (s *Signals) Release() { signal.Stop(s.c) }

// early returns the signals that came before the command starts, and whether one of them ends it.
func (s *Signals) early() (others []os.Signal, ends bool) {
	for {
		select {
		case one := <-s.c:
			if slices.Contains(ending, one) {
				return nil, true
			}
			others = append(others, one)
		default:
			return others, false
		}
	}
}

// Find looks for a command in PATH, and returns the status for one that is not there or cannot be
// run.
func Find(name string) (Status, error) {
	_, err := exec.LookPath(name)
	return refusal(err), err
}

// refusal is the status of a command that does not start.
func refusal(err error) Status {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, exec.ErrNotFound):
		return notFound
	}
	return cannotRun
}

// Command runs a command with the standard streams of the process, which it searches in PATH. It
// forwards signals to it and returns when it has ended. With an error the command has not run: the
// status says so, or the error is context.Canceled since ctx has ended, or a signal came that would
// have ended the command.
func (p *Place) Command(
	ctx context.Context,
	signals *Signals,
	name string,
	args ...string,
) (Status, error) {
	cmd := exec.Command(name, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	early, ends := signals.early()
	if ends || ctx.Err() != nil {
		return 0, context.Canceled
	}

	// A child starts in the namespace of the thread that makes it.
	if err := p.Host.Do(cmd.Start); err != nil {
		return refusal(err), err
	}
	for _, s := range early {
		_ = cmd.Process.Signal(s) // an error means that it has just ended
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case s := <-signals.c:
			// What comes from the terminal reaches the command by itself.
			fromTerminal := s == unix.SIGINT || s == unix.SIGQUIT || s == unix.SIGHUP
			if !fromTerminal || !netlab.Foreground() {
				_ = cmd.Process.Signal(s) // an error means that it has just ended
			}
		case err := <-ended:
			if cmd.ProcessState == nil {
				return cannotRun, err
			}
			status := cmd.ProcessState.Sys().(syscall.WaitStatus)
			if status.Signaled() {
				return 128 + Status(status.Signal()), nil
			}
			return Status(status.ExitStatus()), nil
		}
	}
}
