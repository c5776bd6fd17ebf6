// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// inNetNS calls fn on a thread that is in the network namespace which fd refers
// to, or in the current one if fd is 0.
func inNetNS(fd int, fn func() error) error {
	if fd == 0 {
		return fn()
	}
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			runtime.UnlockOSThread()
			result <- fmt.Errorf("open the current network namespace: %w", err)
			return
		}
		defer unix.Close(home)
		if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
			runtime.UnlockOSThread()
			result <- fmt.Errorf("enter the network namespace of descriptor %d: %w", fd, err)
			return
		}
		err = fn()
		// A thread that cannot come back stays locked: the runtime ends it with
		// this goroutine, and nobody else runs in the wrong namespace.
		if unix.Setns(home, unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
		result <- err
	}()
	return <-result
}
