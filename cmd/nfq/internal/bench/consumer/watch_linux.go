// SPDX-License-Identifier: GPL-2.0-or-later

package consumer

import (
	"runtime/metrics"
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

// takeResources does not stop the world, as runtime.ReadMemStats does: with GOMAXPROCS=1 the
// goroutine that is measured goes on late then. Of the spans that are in use allocations are not
// counted yet, so a few hundred may be missing.
func takeResources() resources {
	allocated := []metrics.Sample{
		{Name: "/gc/heap/allocs:objects"}, {Name: "/gc/heap/tiny/allocs:objects"},
	}
	metrics.Read(allocated)
	var r unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &r) // cannot fail with these arguments
	return resources{
		time.Duration(r.Utime.Nano()), time.Duration(r.Stime.Nano()),
		allocated[0].Value.Uint64() + allocated[1].Value.Uint64(),
	}
}
