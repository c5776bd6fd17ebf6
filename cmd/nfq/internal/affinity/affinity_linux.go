// SPDX-License-Identifier: GPL-2.0-or-later

// Package affinity keeps threads to processors.
package affinity

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// Allowed returns the processors that the process may use.
func Allowed() ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, fmt.Errorf("sched_getaffinity: %w", err)
	}
	var cpus []int
	for cpu := 0; len(cpus) < set.Count(); cpu++ {
		if set.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	return cpus, nil
}

// Pin locks the calling goroutine to its thread, and that to the given processors, until unpin is called on the same
// goroutine. Processes that are started meanwhile inherit the processors.
func Pin(cpus []int) (unpin func(), err error) {
	var before, set unix.CPUSet
	for _, cpu := range cpus {
		if cpu >= 0 {
			set.Set(cpu)
		}
	}
	runtime.LockOSThread()
	if err = unix.SchedGetaffinity(0, &before); err == nil {
		err = unix.SchedSetaffinity(0, &set)
	}
	if err != nil {
		runtime.UnlockOSThread()
		return nil, fmt.Errorf("run on processors %v: %w", cpus, err)
	}
	return func() {
		// A thread that cannot be set free stays locked: the runtime ends it with the
		// goroutine.
		if unix.SchedSetaffinity(0, &before) == nil {
			runtime.UnlockOSThread()
		}
	}, nil
}
