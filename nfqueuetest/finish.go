// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueuetest

import (
	"context"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/bridge"
)

// finish ends what is left of a test and fails it for what should not be left.
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
			k.tb.Errorf("nfqueuetest: queue %d: %d packets had no verdict when the test ended, of these:", q.Number(), undecided)
			k.list(waiting)
		}
		if err != nil {
			k.tb.Errorf("nfqueuetest: queue %d does not end: %v; does its handler not return?", q.Number(), err)
			return // what it left behind is no news
		}
	}
	k.serving.Wait()
	for _, err := range k.failed {
		k.tb.Errorf("nfqueuetest: %v", err)
	}
	var closed []*Flight
	for _, f := range flights {
		select {
		case <-f.flight.Done():
			if !f.asked.Load() && Cause(f.flight.Outcome().Cause) == Closed {
				closed = append(closed, f)
			}
		default:
		}
	}
	if len(closed) > 0 {
		k.tb.Error("nfqueuetest: packets were dropped because their queue was closed before they had a verdict, and the test has not asked for their result:")
		k.list(closed)
	}
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

// endServe has every Serve drain its queue, and waits for them while that may take.
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
	// Any other error tells of the past.
	return bridge.AwaitServe(ctx, q)
}
