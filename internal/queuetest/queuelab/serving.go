// SPDX-License-Identifier: GPL-2.0-or-later

package queuelab

import (
	"context"
	"testing"

	"github.com/chifflier/nfqueue-go"
)

// Settled fails the test unless the counters of a queue that has ended balance. It returns the
// number of verdicts that had an effect.
func Settled(t testing.TB, q *nfqueue.Queue) (effective uint64) {
	t.Helper()
	s := q.Stats()
	if s.Received != s.Verdicts()+s.Abandoned || s.Held != 0 || s.Undecided() != 0 {
		t.Errorf("queue %d: received %d packets, gave %d verdicts, abandoned %d, holds %d: %+v",
			q.Number(), s.Received, s.Verdicts(), s.Abandoned, s.Held, s)
	}
	if none := s.TooLate + s.Refused + s.Unsent; none > s.Verdicts() {
		t.Errorf("queue %d: %d of %d verdicts had no effect: %+v", q.Number(), none, s.Verdicts(), s)
	}
	return s.Verdicts() - s.TooLate - s.Refused - s.Unsent
}

// Serving is a running call of Queue.Serve.
type Serving struct {
	Cancel context.CancelFunc // ends the context of Serve
	Result chan error         // of Serve; closed if Serve did not return
}

// StartServing runs q.Serve on another goroutine.
func StartServing(q *nfqueue.Queue, h nfqueue.Handler) *Serving {
	ctx, cancel := context.WithCancel(context.Background())
	s := &Serving{cancel, make(chan error, 1)}
	go func() {
		defer close(s.Result) // also if Serve does not return
		s.Result <- q.Serve(ctx, h)
	}()
	return s
}

// Stop has Serve drain the queue, and returns its error.
func (s *Serving) Stop() error {
	s.Cancel()
	return <-s.Result
}
