// SPDX-License-Identifier: GPL-2.0-or-later

package rules

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/chifflier/nfqueue-go"
)

// Run opens the queues that the rules name, installs the rules, and calls h for each packet
// until ctx ends. Then it ends in the order that loses no packet: it removes the rules that
// queue, has h decide what waits, closes the queues, and removes the rest, see Set.Close.
// If a queue cannot be opened, or the rules are refused, nothing was installed.
//
// Each queue is opened as nfqueue.Open does with cfg, whose Queue is not used. With several
// queues, h is called by a goroutine for each at the same time. When one of them fails, as by
// a panic of h, all end, and Run returns the error. The rules are installed in cfg.NetNS, and
// cfg.Logger is their Config.Logger too.
func Run(ctx context.Context, cfg nfqueue.Config, h nfqueue.Handler, rules ...Rule) error {
	serve := func(ctx context.Context, q *nfqueue.Queue) error { return q.Serve(ctx, h) }
	return RunFunc(ctx, cfg, serve, rules...)
}

// RunFunc is Run for another way to serve, such as nfqueue.Queue.ServeFlows. It calls serve for
// each queue, on a goroutine of its own. The context ends when the rules that queue are gone,
// and serve must then return when the queue is drained, as the methods of nfqueue.Queue do.
func RunFunc(ctx context.Context, cfg nfqueue.Config,
	serve func(context.Context, *nfqueue.Queue) error, rules ...Rule) error {
	if err := validate(rules); err != nil {
		return err
	}
	queues, err := open(cfg, rules)
	if err != nil {
		return err
	}
	set, err := Install(Config{NetNS: cfg.NetNS, Logger: cfg.Logger}, rules...)
	if err != nil {
		for _, q := range queues {
			err = errors.Join(err, q.Close())
		}
		return err
	}
	serving, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	failing, fail := context.WithCancel(ctx)
	defer fail()
	errs := make([]error, len(queues))
	var wg sync.WaitGroup
	for i, q := range queues {
		wg.Go(func() {
			defer fail()
			serveToEnd(serving, cfg, q, serve, &errs[i])
		})
	}
	<-failing.Done()
	stopped := set.Stop()
	end()
	wg.Wait()
	return errors.Join(stopped, errors.Join(errs...), set.Close())
}

// open opens the queues that rules name, or none.
func open(cfg nfqueue.Config, rules []Rule) (queues []*nfqueue.Queue, err error) {
	have := make(map[uint16]bool)
	for _, r := range rules {
		for i := range max(r.Queues, 1) {
			cfg.Queue = r.Queue + i
			if have[cfg.Queue] {
				continue
			}
			have[cfg.Queue] = true
			q, err := nfqueue.Open(cfg)
			if err != nil {
				for _, q := range queues {
					err = errors.Join(err, q.Close())
				}
				return nil, err
			}
			queues = append(queues, q)
		}
	}
	return queues, nil
}

// serveToEnd serves q and closes it. The result goes to err, which is set also if serve ends the
// goroutine and nothing is returned.
func serveToEnd(ctx context.Context, cfg nfqueue.Config, q *nfqueue.Queue,
	serve func(context.Context, *nfqueue.Queue) error, err *error) {
	*err = fmt.Errorf("rules: run: serving queue %d ended its goroutine", q.Number())
	defer func() {
		limit := cmp.Or(cfg.DrainTimeout, nfqueue.DefaultDrainTimeout)
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
		defer cancel()
		if end := q.Shutdown(drain); !errors.Is(end, nfqueue.ErrClosed) { // by serve
			*err = errors.Join(*err, end)
		}
	}()
	*err = serve(ctx, q)
}
