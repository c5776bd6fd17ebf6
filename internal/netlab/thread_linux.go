// SPDX-License-Identifier: GPL-2.0-or-later

package netlab

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

const threadNetNS = "/proc/thread-self/ns/net"

// onThread runs fn on a locked OS thread whose network namespace fn may change. The thread goes back to the pool in the
// namespace it had, or ends. It is another goroutine's, so that a caller is never left in a foreign namespace.
func onThread(fn func() error) (err error) {
	var returned bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		home, openErr := os.Open(threadNetNS)
		if openErr != nil {
			runtime.UnlockOSThread()
			err, returned = openErr, true
			return
		}
		defer func() {
			// A goroutine that ends while locked takes its thread along.
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
		// fn ended its goroutine, as testing's FailNow does; that is meant for the caller.
		runtime.Goexit()
	}
	return err
}

// Do runs fn on an OS thread inside the host's network namespace and returns its error. Sockets and files that fn opens
// stay usable anywhere; goroutines that fn starts are outside. Calls may be nested and concurrent. runtime.Goexit in
// fn (testing.T.FailNow) ends the calling goroutine; a panic ends the program.
func (h *Host) Do(fn func() error) error {
	return onThread(func() error {
		if err := h.enter(); err != nil {
			return err
		}
		return fn()
	})
}

// In runs fn as Host.Do does and returns its result:
//
//	conn, err := netlab.In(host, func() (net.PacketConn, error) { return net.ListenPacket("udp", "127.0.0.1:0") })
func In[T any](h *Host, fn func() (T, error)) (T, error) {
	var result T
	err := h.Do(func() (err error) {
		result, err = fn()
		return err
	})
	return result, err
}

// enter moves the calling thread into the namespace.
func (h *Host) enter() error {
	raw, err := h.ns.SyscallConn()
	var setErr error
	if err == nil {
		err = raw.Control(func(fd uintptr) { setErr = unix.Setns(int(fd), unix.CLONE_NEWNET) })
	}
	if err != nil {
		return fmt.Errorf("netlab: host: %w", os.ErrClosed)
	}
	if setErr != nil {
		return fmt.Errorf("netlab: enter the host's network namespace: %w", setErr)
	}
	return nil
}
