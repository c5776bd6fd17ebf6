// SPDX-License-Identifier: GPL-2.0-or-later

package soak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/chifflier/nfqueue-go"
)

// Options say how long to run.
type Options struct {
	// For is the least time, Packets the least number of packets to receive. The run ends
	// when there have been both.
	For     time.Duration
	Packets uint64
	// Seed makes a run repeatable as far as its random choices go.
	Seed uint64
	// Progress gets a line now and then.
	Progress io.Writer
}

// progressEvery is the time between two lines of progress.
const progressEvery = 10 * time.Second

// Run opens one queue after another, each of which lives for about a second in a flood,
// and returns what they did. It returns an error at the first book that does not balance,
// and when memory, goroutines or descriptors grow. The caller needs what netlab.Enter
// provides.
func Run(ctx context.Context, o Options) (*Results, error) {
	s, err := newScene()
	if err != nil {
		return nil, err
	}
	r := &Results{Seed: o.Seed}
	err = r.live(ctx, o, s)
	return r, errors.Join(err, s.close())
}

func (r *Results) live(ctx context.Context, o Options, s *scene) error {
	rnd := rand.New(rand.NewPCG(o.Seed, 0))
	start := time.Now()
	shown := start
	for r.Elapsed < o.For || r.Stats.Received < o.Packets {
		if err := ctx.Err(); err != nil {
			return err
		}
		l := newLife(s, rnd)
		what := fmt.Sprintf("queue %d, seed %d (%v)", r.Queues+1, o.Seed, l)
		if err := l.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		r.add(l)
		l = nil // so that its memory is freed
		r.Elapsed = time.Since(start)
		if err := r.usage.look(); err != nil {
			return fmt.Errorf("after %s: %w", what, err)
		}
		if time.Since(shown) >= progressEvery {
			shown = time.Now()
			_, _ = fmt.Fprintln(o.Progress, r.line())
		}
	}
	return r.usage.flat()
}

// sum adds the counters of b to a.
func sum(a *nfqueue.Stats, b nfqueue.Stats) {
	a.Received += b.Received
	a.Sends += b.Sends
	a.Batches += b.Batches
	a.Accepted += b.Accepted
	a.Dropped += b.Dropped
	a.Repeated += b.Repeated
	a.Requeued += b.Requeued
	a.Deferred += b.Deferred
	a.Abandoned += b.Abandoned
	a.TooLate += b.TooLate
	a.Refused += b.Refused
	a.Unsent += b.Unsent
	a.Lost += b.Lost
	a.AlreadyResolved += b.AlreadyResolved
	a.Malformed += b.Malformed
	a.Fallback.Panic += b.Fallback.Panic
	a.Fallback.Invalid += b.Fallback.Invalid
	a.Fallback.Expired += b.Fallback.Expired
	a.Fallback.Shutdown += b.Fallback.Shutdown
	a.Fallback.Send += b.Fallback.Send
}
