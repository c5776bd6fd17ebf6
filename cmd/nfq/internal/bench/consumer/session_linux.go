// SPDX-License-Identifier: GPL-2.0-or-later

package consumer

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/chifflier/nfqueue-go"
)

// session is a consumer that uses this module's Queue.
type session struct {
	setup  Setup
	queues []*nfqueue.Queue
}

// openSession opens the queues of s in the network namespace that netns refers to, the current one
// if it is 0.
func openSession(s Setup, netns int) (*session, error) {
	c := &session{setup: s}
	for i := range max(s.Queues, 1) {
		cfg := s.config(i)
		cfg.NetNS = netns
		q, err := nfqueue.Open(cfg)
		if err != nil {
			return nil, errors.Join(err, c.close())
		}
		c.queues = append(c.queues, q)
	}
	return c, nil
}

func (c *session) close() error {
	var errs []error
	for _, q := range c.queues {
		errs = append(errs, q.Close())
	}
	return errors.Join(errs...)
}

// run serves the queues until each has had its packets, or ctx ends. Where packets are counted the
// time ends as it began, in the call of a handler, so that as many verdicts are sent as packets are
// received meanwhile. Otherwise it includes the orderly close of the queues.
func (c *session) run(ctx context.Context) (Report, error) {
	handlers := make([]*handler, len(c.queues))
	errs := make([]error, len(c.queues))
	watch := startWatch()
	var report Report
	var finished atomic.Int32
	serve := func(i int) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		handlers[i] = &handler{setup: c.setup, finish: func() {
			if int(finished.Add(1)) == len(c.queues) && c.setup.Hold == 0 {
				report = watch.stop()
			}
			cancel()
		}}
		if i == 0 { // the others are about as warm
			handlers[i].warm = watch.restart
		}
		errs[i] = c.queues[i].Serve(ctx, handlers[i].function())
	}
	if len(c.queues) == 1 {
		serve(0)
	} else {
		var all sync.WaitGroup
		for i := range c.queues {
			all.Go(func() { serve(i) })
		}
		all.Wait()
	}
	if report.Elapsed == 0 {
		report = watch.stop()
	}
	for _, h := range handlers {
		report.Packets += uint64(h.count)
	}
	report.Measured = report.Packets - uint64(c.setup.WarmUp*len(c.queues))
	return report, errors.Join(errs...)
}
