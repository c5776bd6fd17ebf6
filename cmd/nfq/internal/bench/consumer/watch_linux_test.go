// SPDX-License-Identifier: GPL-2.0-or-later

package consumer

import (
	"runtime/metrics"
	"testing"
)

// TestWatchResources: allocations are counted without stopping the world, which would be measured
// too.
func TestWatchResources(t *testing.T) {
	const allocations, size = 100_000, 64
	w := startWatch()
	before := stops()
	w.restart()
	var kept [][]byte
	for range allocations {
		kept = append(kept, make([]byte, size))
	}
	report := w.stop()
	if n := stops() - before; n != 0 {
		t.Errorf("the world was stopped %d times", n)
	}
	if report.Mallocs < allocations*99/100 || report.Mallocs > allocations*110/100 {
		t.Errorf("%d allocations counted of %d", report.Mallocs, len(kept))
	}
	if report.Elapsed <= 0 || report.User+report.System <= 0 {
		t.Errorf("%+v", report)
	}
}

// stops returns how often the world was stopped, except by garbage collections.
func stops() (n uint64) {
	sample := []metrics.Sample{{Name: "/sched/pauses/total/other:seconds"}}
	metrics.Read(sample)
	for _, count := range sample[0].Value.Float64Histogram().Counts {
		n += count
	}
	return n
}
