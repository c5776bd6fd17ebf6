// SPDX-License-Identifier: GPL-2.0-or-later

package line

import (
	"encoding/binary"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// alarm wakes a thread at a time, or earlier when it rings. The timers of package time are a
// millisecond late when nothing else happens, since that is how exactly the runtime waits; ppoll(2)
// takes nanoseconds.
type alarm struct {
	fd    int
	early time.Duration // how late the thread is woken, 19 times of 20 at most, for which it asks to be woken earlier
}

const (
	// mostEarly bounds how long the thread spins when it is woken sooner than usual.
	mostEarly = 250 * time.Microsecond
	// earlyStep is how fast alarm.early follows what is observed.
	earlyStep = time.Microsecond
)

func newAlarm() (*alarm, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	return &alarm{fd: fd}, nil
}

// SharpenTimers makes the waits of the calling thread end in time, as far as it may: the kernel
// adds up to 50 microseconds otherwise, and milliseconds when others want the processor.
func SharpenTimers() {
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	// Needs CAP_SYS_NICE.
	_ = unix.SchedSetAttr(0,
		&unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}, 0)
}

// wait returns at a time of clock, not before, or when the alarm has rung since the last wait.
func (a *alarm) wait(clock func() time.Duration, until time.Duration) {
	fds := []unix.PollFd{{Fd: int32(a.fd), Events: unix.POLLIN}}
	var timeout *unix.Timespec
	sleepUntil, slept := until-a.early, false
	if until != Never {
		d := max(sleepUntil-clock(), 0)
		slept = d > 0
		t := unix.NsecToTimespec(int64(d)) // which the kernel changes
		timeout = &t
	}
	n, err := unix.Ppoll(fds, timeout, nil)
	if n > 0 {
		var count [8]byte
		_, _ = unix.Read(a.fd, count[:])
		return
	}
	if err != nil { // EINTR
		return
	}
	if slept {
		a.learn(clock() - sleepUntil)
	}
	for clock() < until {
	}
}

// learn takes note of how late the thread was woken.
func (a *alarm) learn(late time.Duration) {
	if late > a.early {
		a.early = min(a.early+19*earlyStep, mostEarly)
	} else {
		a.early = max(a.early-earlyStep, 0)
	}
}

// ring makes wait return. It may be called at any time before close.
func (a *alarm) ring() {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	_, _ = unix.Write(a.fd, one[:]) // only fails when it has rung 2^64-2 times
}

func (a *alarm) close() { _ = unix.Close(a.fd) }
