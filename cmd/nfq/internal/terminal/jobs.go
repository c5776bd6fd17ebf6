// SPDX-License-Identifier: GPL-2.0-or-later

//go:build linux

package terminal

import (
	"errors"
	"os"
	"os/signal"
	"runtime"

	"golang.org/x/sys/unix"
)

// Redraws returns a channel that receives when a screen has to be drawn again: the terminal has
// another size, or the process goes on after it was stopped. Call stop when no more screens are
// drawn.
func Redraws() (redraw <-chan os.Signal, stop func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, unix.SIGWINCH, unix.SIGCONT)
	return c, func() { signal.Stop(c) }
}

// OnStop calls pause when the terminal stops the process (Ctrl-Z, SIGTSTP), before it stops, and
// resume when it goes on. A SIGCONT during pause ends the stop before it has begun. OnStop does
// nothing where stops are ignored, as under nohup. The errors of both go to fail. No stop is
// awaited any more when the function that it returns has returned.
func OnStop(pause, resume func() error, fail func(error)) (end func()) {
	if signal.Ignored(unix.SIGTSTP) {
		return func() {}
	}
	stops, goesOn := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(stops, unix.SIGTSTP)
	signal.Notify(goesOn, unix.SIGCONT)
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-goesOn: // from a stop that is over
			case <-stops:
				err := pause()
				select {
				case <-goesOn:
				default:
					err = errors.Join(err, stopProcess())
				}
				if err = errors.Join(err, resume()); err != nil {
					fail(err)
				}
			case <-quit:
				return
			}
		}
	}()
	return func() {
		signal.Stop(stops)
		signal.Stop(goesOn)
		close(quit)
		<-ended
	}
}

// stopProcess stops the process and returns when it goes on. The signal is not SIGTSTP, whose
// default action the Go runtime does not bring back.
func stopProcess() error {
	// A signal to the own thread stops the process before the system call returns.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return unix.Tgkill(unix.Getpid(), unix.Gettid(), unix.SIGSTOP)
}
