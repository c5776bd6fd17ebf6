// SPDX-License-Identifier: GPL-2.0-or-later

package consumer

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// watch measures what the process does from its start on.
type watch struct {
	start  time.Time
	before resources
}

// resources are what the process has used.
type resources struct {
	user, system time.Duration
	mallocs      uint64
}

func startWatch() *watch {
	w := &watch{}
	w.restart()
	return w
}

func (w *watch) restart() {
	w.before = takeResources()
	w.start = time.Now()
}

// stop returns a Report without packets.
func (w *watch) stop() Report {
	elapsed := time.Since(w.start)
	after := takeResources()
	return Report{
		Elapsed: elapsed,
		User:    after.user - w.before.user,
		System:  after.system - w.before.system,
		Mallocs: after.mallocs - w.before.mallocs,
	}
}

func takeResources() resources {
	var m runtime.MemStats
	var r unix.Rusage
	runtime.ReadMemStats(&m)
	_ = unix.Getrusage(unix.RUSAGE_SELF, &r) // cannot fail with these arguments
	return resources{time.Duration(r.Utime.Nano()), time.Duration(r.Stime.Nano()), m.Mallocs}
}
