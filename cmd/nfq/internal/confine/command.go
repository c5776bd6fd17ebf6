// SPDX-License-Identifier: GPL-2.0-or-later

//go:build linux

package confine

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/chifflier/nfqueue-go/internal/netlab"
	"golang.org/x/sys/unix"
)

// Status is the exit status of a command, as a shell reports it: 128 and the number of the signal that ended it,
// 126 if it cannot be run and 127 if it is not there.
type Status int

const (
	cannotRun Status = 126
	notFound  Status = 127
)

// forwarded are the signals that the command gets.
var forwarded = []os.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2}

// Find looks for a command in PATH, and returns the status for one that is not there or cannot be run.
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

// Command runs a command with the standard streams of the process, which it searches in PATH. It forwards signals to it and
// returns when it has ended. With an error the command has not run, and the status says so.
func (p *Place) Command(name string, args ...string) (Status, error) {
	cmd := exec.Command(name, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	signals := make(chan os.Signal, 8)
	for _, s := range forwarded {
		if !signal.Ignored(s) { // as with nohup, which the command inherits
			signal.Notify(signals, s)
		}
	}
	defer signal.Stop(signals)

	// A child starts in the namespace of the thread that makes it.
	if err := p.Host.Do(cmd.Start); err != nil {
		return refusal(err), err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case s := <-signals:
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
