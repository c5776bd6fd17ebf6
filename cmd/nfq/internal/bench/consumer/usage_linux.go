// SPDX-License-Identifier: GPL-2.0-or-later

package consumer

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Usage is what a process uses of the machine.
type Usage struct {
	// Resident is how many bytes of memory it has that are not those of files.
	Resident int
	// CPU is the processor time of all its threads so far.
	CPU time.Duration
}

func (u *Usage) merge(other Usage) {
	u.Resident += other.Resident
	u.CPU += other.CPU
}

// usageOf returns the Usage of a process.
func usageOf(pid int) (u Usage, err error) {
	// The clock of all threads of a process, to the nanosecond (CPUCLOCK_SCHED in
	// linux/posix-timers_types.h). It is read first: to read the memory takes longer.
	const sched = 2
	var t unix.Timespec
	if err = unix.ClockGettime(int32(^pid<<3|sched), &t); err != nil {
		return u, fmt.Errorf("processor time of process %d: %w", pid, err)
	}
	u.CPU = time.Duration(t.Nano())
	u.Resident, err = resident(pid)
	return u, err
}

// resident reads RssAnon in /proc/PID/status.
func resident(pid int) (int, error) {
	f, err := os.Open("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), "RssAnon:"); ok {
			kB, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
			return kB << 10, err
		}
	}
	return 0, fmt.Errorf("%s has no RssAnon", f.Name())
}
