// SPDX-License-Identifier: GPL-2.0-or-later

package netns

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// ThreadPath names the network namespace of the calling thread.
const ThreadPath = "/proc/thread-self/ns/net"

// OnThread runs fn on a thread whose network namespace fn may change, and returns its error.
// Afterwards the thread is in its old namespace again, or it ends. The caller's own thread stays
// where it is. Goroutines that fn starts run outside. If fn calls runtime.Goexit, as
// testing.T.FailNow does, the calling goroutine ends; a panic ends the program.
func OnThread(fn func() error) (err error) {
	var returned bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		home, openErr := os.Open(ThreadPath)
		if openErr != nil {
			runtime.UnlockOSThread()
			err = fmt.Errorf("open the current network namespace: %w", openErr)
			returned = true
			return
		}
		defer func() {
			// A thread that cannot go back stays locked: the runtime ends it with this
			// goroutine, so that no other goroutine runs in the wrong namespace.
			if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
				runtime.UnlockOSThread()
			}
			_ = home.Close()
		}()
		err = fn()
		returned = true
	}()
	<-done
	if !returned {
		runtime.Goexit()
	}
	return err
}

// Do runs fn on a thread in the network namespace, see OnThread, or on the caller's thread if ns is
// nil. Sockets and files that fn opens stay usable anywhere. In /proc, fn must read below
// /proc/thread-self. If ns is closed, the error is os.ErrClosed.
func Do(ns *os.File, fn func() error) error {
	if ns == nil {
		return fn()
	}
	raw, err := ns.SyscallConn()
	if err != nil {
		return fmt.Errorf("network namespace: %w", err)
	}
	return OnThread(func() error {
		var enterErr error
		if err := raw.Control(func(fd uintptr) { enterErr = enter(int(fd)) }); err != nil {
			return fmt.Errorf("network namespace: %w", os.ErrClosed)
		}
		if enterErr != nil {
			return enterErr
		}
		return fn()
	})
}

// DoFD is Do for a descriptor of a network namespace; 0 means the caller's thread.
func DoFD(fd int, fn func() error) error {
	if fd == 0 {
		return fn()
	}
	return OnThread(func() error {
		if err := enter(fd); err != nil {
			return err
		}
		return fn()
	})
}

// enter moves the calling thread into a namespace.
func enter(fd int) error {
	if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf(
			"enter the network namespace of descriptor %d (needs CAP_SYS_ADMIN): %w", fd, err,
		)
	}
	return nil
}
