// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// Group is a range of consecutive queues over which a rule spreads packets: iptables
// --queue-balance FIRST:LAST, with --queue-cpu-fanout by processor, or nftables
// queue to FIRST-LAST, with flags fanout. All methods are safe for concurrent use.
type Group struct {
	queues  []*Queue
	serving atomic.Bool
}

// OpenGroup opens count consecutive queues from cfg.Queue on, each as Open does with cfg. If one
// cannot be opened, OpenGroup closes the others.
func OpenGroup(cfg Config, count int) (*Group, error) {
	if count < 1 || int(cfg.Queue)+count > 1<<16 {
		err := fmt.Errorf("%d queues from %d on; want at least 1 and none above 65535", count, cfg.Queue)
		return nil, &OpError{Op: "open group", Queue: cfg.Queue, Err: err}
	}
	g := &Group{}
	for range count {
		q, err := Open(cfg)
		if err != nil {
			// Packets may wait already in those that were opened.
			ctx, cancel := context.WithTimeout(context.Background(), DefaultDrainTimeout)
			defer cancel()
			return nil, errors.Join(err, g.Shutdown(ctx))
		}
		g.queues = append(g.queues, q)
		cfg.Queue++
	}
	return g, nil
}

// Queues returns the queues in the order of their numbers.
func (g *Group) Queues() []*Queue { return append([]*Queue(nil), g.queues...) }

// Serve serves all queues with one handler. One goroutine for each queue calls it, so its calls
// are concurrent. Serve ends as ServeEach does.
func (g *Group) Serve(ctx context.Context, h Handler) error {
	return g.ServeEach(ctx, func(uint16) Handler { return h })
}

// ServeEach serves each queue on a goroutine of its own with a handler of its own. It calls
// newHandler with the number of each queue before the first packet. A handler needs no locks for
// what only it uses.
//
// When ctx ends or Shutdown is called, every queue is drained as by Queue.Serve, and ServeEach
// returns nil. When one queue fails, because its handler panics or ends its goroutine, or
// because it was closed, the other queues are drained without loss, and ServeEach returns the
// error of the one that failed. It wraps a *PanicError if a handler panicked: the packets of
// that queue get the Fallback. When newHandler panics, all queues are shut down, and their
// packets get the Fallback.
//
// A group is served once at a time: a second call returns ErrServing and changes nothing. If a
// queue of the group is already served by itself, ServeEach leaves that one alone, drains the
// others and returns ErrServing.
func (g *Group) ServeEach(ctx context.Context, newHandler func(queue uint16) Handler) error {
	return g.serve(ctx, 1, func(queue uint16, _ int) Handler { return newHandler(queue) })
}

// ServeFlows is ServeEach with n goroutines for each queue, as with Queue.ServeFlows.
// newHandler makes a handler for each of them, numbered from 0 in each queue.
func (g *Group) ServeFlows(ctx context.Context, n int,
	newHandler func(queue uint16, worker int) Handler) error {
	if n < 1 {
		return g.queues[0].opError("serve", fmt.Errorf("%d goroutines; want at least 1", n))
	}
	return g.serve(ctx, n, newHandler)
}

func (g *Group) serve(ctx context.Context, n int,
	newHandler func(queue uint16, worker int) Handler) error {
	if g.serving.Swap(true) {
		return g.queues[0].opError("serve", ErrServing)
	}
	defer g.serving.Store(false)
	handlers, made := make([][]Handler, len(g.queues)), false
	defer func() {
		if !made { // newHandler has panicked, and packets wait
			ctx, cancel := context.WithTimeout(context.Background(), g.queues[0].cfg.DrainTimeout)
			defer cancel()
			_ = g.Shutdown(ctx)
		}
	}()
	for i, q := range g.queues {
		for worker := range n {
			handlers[i] = append(handlers[i], newHandler(q.Number(), worker))
		}
	}
	made = true
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(g.queues))
	var wg sync.WaitGroup
	for i, q := range g.queues {
		wg.Go(func() {
			defer cancel()
			q.serveToEnd(ctx, handlers[i], &errs[i])
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// serveToEnd serves q until ctx ends, and closes it in any case but that another goroutine
// serves it. The result goes to err, which is set also if a handler ends the goroutine and
// nothing is returned.
func (q *Queue) serveToEnd(ctx context.Context, handlers []Handler, err *error) {
	returned := false
	defer func() {
		if !returned {
			*err = q.opError("serve", &PanicError{Stack: debug.Stack()})
		}
		var refused *OpError
		if *err == nil || errors.As(*err, &refused) && refused.Err == ErrServing {
			return // Err is not merely the cause of a panic
		}
		drain, cancel := context.WithTimeout(context.Background(), q.cfg.DrainTimeout)
		defer cancel()
		if end := q.Shutdown(drain); !errors.Is(end, ErrClosed) {
			*err = errors.Join(*err, end)
		}
	}()
	*err = q.serveHandlers(ctx, handlers)
	returned = true
}

// each calls f for all queues at the same time.
func (g *Group) each(op string, f func(q *Queue) error) error {
	for _, q := range g.queues {
		if q.life.InHandler() {
			return q.opError(op, ErrInHandler)
		}
	}
	errs := make([]error, len(g.queues))
	var wg sync.WaitGroup
	for i, q := range g.queues {
		wg.Go(func() { errs[i] = f(q) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// SetMaxLen changes all queues as Queue.SetMaxLen does. When it fails, some may be changed.
func (g *Group) SetMaxLen(n uint32) error {
	return g.each("set maximum length", func(q *Queue) error { return q.SetMaxLen(n) })
}

// SetFlags changes all queues as Queue.SetFlags does. When it fails, some may be changed.
func (g *Group) SetFlags(mask, flags Flags) error {
	return g.each("set flags", func(q *Queue) error { return q.SetFlags(mask, flags) })
}

// SetCopy changes all queues as Queue.SetCopy does. When it fails, some may be changed.
func (g *Group) SetCopy(mode CopyMode, length uint32) error {
	return g.each("set copy mode", func(q *Queue) error { return q.SetCopy(mode, length) })
}

// Shutdown ends all queues as Queue.Shutdown does, at the same time. It waits for the handlers of
// all: none of them may wait for it, also not for a goroutine that calls it.
func (g *Group) Shutdown(ctx context.Context) error {
	return g.each("shutdown", func(q *Queue) error { return q.Shutdown(ctx) })
}

// Close closes all queues as Queue.Close does.
func (g *Group) Close() error {
	var errs []error
	for _, q := range g.queues {
		errs = append(errs, q.Close())
	}
	return errors.Join(errs...)
}

// Stats returns the sum of the statistics of all queues. In its field Kernel, Queue, CopyMode
// and CopyRange are those of the first queue, PortID is 0, and LastID is the sum, so that the
// books of Stats balance.
func (g *Group) Stats() Stats {
	var sum Stats
	for _, q := range g.queues {
		sum.add(q.Stats())
	}
	return sum
}
