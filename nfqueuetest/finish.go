// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueuetest

import (
	"context"
	"slices"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/bridge"
)

// finish ends the queues of a test, and fails it for packets and goroutines that are left.
func (k *Kernel) finish() {
	k.tb.Helper()
	k.mu.Lock()
	queues, flights := k.queues, k.flights
	for _, s := range k.sockets {
		if !s.used {
			defer s.Close()
		}
	}
	k.mu.Unlock()

	var waiting []*Flight
	for _, f := range flights {
		if _, _, ok := f.flight.Queued(); ok {
			waiting = append(waiting, f)
		}
	}
	fallbacks := make(map[*nfqueue.Queue]uint64)
	for _, q := range queues {
		fallbacks[q] = q.Stats().Fallback.Shutdown
	}
	k.endServe()
	for _, q := range queues {
		err := stop(q)
		if undecided := q.Stats().Fallback.Shutdown - fallbacks[q]; undecided > 0 {
			k.tb.Errorf(
				"nfqueuetest: queue %d: %d packets had no verdict when the test ended, of these:", q.Number(),
				undecided,
			)
			k.list(waiting)
		}
		if err != nil {
			k.tb.Errorf(
				"nfqueuetest: queue %d does not end: %v; does its handler not return?", q.Number(), err,
			)
			return // its packets and goroutines are left, of course
		}
	}
	k.serving.Wait()
	for _, err := range k.failed {
		k.tb.Errorf("nfqueuetest: %v", err)
	}
	var closed, changed []*Flight
	for _, f := range flights {
		select {
		case <-f.flight.Done():
			if f.lostChange() {
				changed = append(changed, f)
			}
			if !f.asked.Load() && Cause(f.flight.Outcome().Cause) == Closed {
				closed = append(closed, f)
			}
		default:
		}
	}
	if len(closed) > 0 {
		k.tb.Error(
			"nfqueuetest: packets were dropped because their queue was closed before they had " +
				"a verdict, and the test has not asked for their result:",
		)
		k.list(closed)
	}
	if changed = withoutFallback(changed, queues); len(changed) > 0 {
		k.tb.Error("nfqueuetest: " + lostChange + ":")
		k.list(changed)
	}
}

// withoutFallback returns the flights whose last queue has given no Fallback. Such a verdict has no
// payload, whatever the handler did, and nothing tells which packets got it.
func withoutFallback(flights []*Flight, queues []*nfqueue.Queue) []*Flight {
	given := make(map[uint16]bool)
	for _, q := range queues {
		if q.Stats().Fallback != (nfqueue.FallbackStats{}) {
			given[q.Number()] = true
		}
	}
	return slices.DeleteFunc(flights, func(f *Flight) bool {
		hops := f.flight.Outcome().Hops
		return given[hops[len(hops)-1].Queue]
	})
}

// list logs the first few of some packets.
func (k *Kernel) list(flights []*Flight) {
	k.tb.Helper()
	for i, f := range flights {
		if i == 10 {
			k.tb.Logf("and %d more", len(flights)-i)
			return
		}
		k.tb.Log(f)
	}
}

// endServe has every Serve drain its queue, and waits for them for a limited time.
func (k *Kernel) endServe() {
	k.cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		k.serving.Wait()
	}()
	select {
	case <-ended:
	case <-time.After(limit):
	}
}

// stop shuts a queue down and waits until nobody serves it.
func stop(q *nfqueue.Queue) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	err := q.Shutdown(ctx)
	if ctx.Err() != nil {
		return err
	}
	// Any other error is about what happened before.
	return bridge.AwaitServe(ctx, q)
}
