// SPDX-License-Identifier: GPL-2.0-or-later

package soak

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"time"
)

// usage is what the process uses after each queue.
type usage struct {
	goroutines, descriptors int
	heaps, residents        []uint64 // bytes
}

// look measures. It fails if a queue has left a goroutine or a descriptor.
func (u *usage) look() error {
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) { // until the last ones have ended
		goroutines := runtime.NumGoroutine()
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			return err
		}
		if len(u.heaps) == 0 {
			// After the first queue; the rest of it may still be ending.
			time.Sleep(100 * time.Millisecond)
			goroutines = runtime.NumGoroutine()
			u.goroutines, u.descriptors = goroutines, len(entries)
		}
		if goroutines <= u.goroutines && len(entries) <= u.descriptors {
			break
		}
		if time.Now().After(end) {
			return fmt.Errorf("%d goroutines and %d descriptors; after the first queue there were %d and %d",
				goroutines, len(entries), u.goroutines, u.descriptors)
		}
	}
	debug.FreeOSMemory() // garbage must not be counted
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	resident, err := resident()
	if err != nil {
		return err
	}
	u.heaps, u.residents = append(u.heaps, m.HeapAlloc), append(u.residents, resident)
	return nil
}

// resident returns the resident memory of the process in bytes.
func resident() (uint64, error) {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	pages, err := strconv.ParseUint(string(bytes.Fields(b)[1]), 10, 64)
	return pages * uint64(os.Getpagesize()), err
}

const (
	// warmUp is the number of queues after which memory must not grow any more, growth
	// how much the median of the second half may be above that of the first: spans and
	// stacks are not always given back at once.
	warmUp = 10
	growth = 4 << 20
)

// flat fails if memory grows.
func (u *usage) flat() error {
	if len(u.heaps) < 3*warmUp {
		return nil
	}
	for what, all := range map[string][]uint64{"heap": u.heaps, "resident memory": u.residents} {
		all = all[warmUp:]
		first, second := median(all[:len(all)/2]), median(all[len(all)/2:])
		if second > first+growth {
			return fmt.Errorf("%s grows: %d KiB in the first half of the run, %d KiB in the second", what,
				first>>10, second>>10)
		}
	}
	return nil
}

func median(all []uint64) uint64 {
	return slices.Sorted(slices.Values(all))[len(all)/2]
}
