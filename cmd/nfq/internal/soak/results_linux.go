// SPDX-License-Identifier: GPL-2.0-or-later

package soak

import (
	"fmt"
	"io"
	"time"

	"github.com/chifflier/nfqueue-go"
)

// Results are what Run has seen.
type Results struct {
	Seed    uint64
	Elapsed time.Duration
	// Queues is the number of opened queues, HandedOver of those that were handed over, Rough of
	// those that were closed under load, Faults of injected faults.
	Queues, HandedOver, Rough, Faults int
	// Passed is the number of packets that rules have counted behind the queues.
	Passed uint64
	// Stats is the sum of those of all queues.
	Stats nfqueue.Stats

	usage usage
}

func (r *Results) add(l *life) {
	r.Queues++
	r.HandedOver += len(l.queues) - 1
	if l.rough {
		r.Rough++
	}
	r.Faults += l.faults
	r.Passed += l.passed
	sum(&r.Stats, l.stats)
}

// line is one of progress.
func (r *Results) line() string {
	last := len(r.usage.heaps) - 1
	return fmt.Sprintf(
		"%4.0f s  %11d packets  %4.0f kpps  %4d queues  heap %.1f MiB  resident %.1f MiB  %d goroutines  %d descriptors",
		r.Elapsed.Seconds(),
		r.Stats.Received,
		float64(r.Stats.Received)/r.Elapsed.Seconds()/1e3,
		r.Queues,
		mib(r.usage.heaps[last]),
		mib(r.usage.residents[last]),
		r.usage.goroutines,
		r.usage.descriptors,
	)
}

func mib(bytes uint64) float64 { return float64(bytes) / (1 << 20) }

// WriteText writes the books.
func (r *Results) WriteText(w io.Writer) error {
	s := r.Stats
	out := []struct {
		name string
		n    uint64
	}{
		{"received", s.Received},
		{"  accepted", s.Accepted},
		{"  dropped", s.Dropped},
		{"  repeated", s.Repeated},
		{"  to another queue", s.Requeued},
		{"  abandoned by Close", s.Abandoned},
		{"deferred", s.Deferred},
		{"fallback: panic", s.Fallback.Panic},
		{"fallback: invalid verdict", s.Fallback.Invalid},
		{"fallback: expired", s.Fallback.Expired},
		{"fallback: shutdown", s.Fallback.Shutdown},
		{"without effect: gone", s.TooLate},
		{"without effect: refused", s.Refused},
		{"without effect: unsent", s.Unsent},
		{"counted behind the queues", r.Passed},
		{"lost in the receive buffer", s.Lost},
		{"receive calls", s.Batches},
		{"send calls", s.Sends},
	}
	if _, err := fmt.Fprintf(w, "%d packets in %.0f s, seed %d: the books balance\n"+
		"%d queues, %d closed under load, %d handed over, %d faults and changes\n",
		s.Received, r.Elapsed.Seconds(), r.Seed, r.Queues, r.Rough, r.HandedOver, r.Faults); err != nil {
		return err
	}
	for _, o := range out {
		if _, err := fmt.Fprintf(w, "%-28s %12d\n", o.name, o.n); err != nil {
			return err
		}
	}
	half := len(r.usage.heaps) / 2
	first := max(half, 1)
	_, err := fmt.Fprintf(
		w,
		"heap, median of each half     %.1f, %.1f MiB\nresident, median of each half %.1f, %.1f MiB\ngoroutines %d, descriptors %d, as after the first queue\n",
		mib(median(r.usage.heaps[:first])),
		mib(median(r.usage.heaps[half:])),
		mib(median(r.usage.residents[:first])),
		mib(median(r.usage.residents[half:])),
		r.usage.goroutines,
		r.usage.descriptors,
	)
	return err
}
