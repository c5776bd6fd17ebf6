// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"context"
	"errors"
	"math"
	"os"
	"time"

	"github.com/chifflier/nfqueue-go/internal/kernel"
	"github.com/chifflier/nfqueue-go/internal/lifecycle"
	"github.com/chifflier/nfqueue-go/internal/nfqmsg"
)

// Shutdown ends the use of the queue without losing a packet. It stops new packets from being
// queued: with the Fallback Accept the kernel lets them pass, with Drop it drops them. A
// running Serve then handles those that wait, and returns nil. Shutdown waits for deferred
// packets and closes the queue. When ctx ends first, all packets left get the Fallback, and
// Shutdown still returns nil. Without a running Serve all waiting packets get the Fallback.
//
// Shutdown fails with ErrInHandler when a handler or another callback of the queue calls it,
// because it would wait for that callback. A handler must not wait either for a goroutine that
// calls Shutdown: each then waits for the other until ctx ends. When a handler has not returned a
// second after the end of ctx, Shutdown closes the queue and returns the error of ctx. A second
// call only waits for the first, until its own ctx ends. After File, Shutdown leaves the queue as
// it is to the process that has the socket; see there.
func (q *Queue) Shutdown(ctx context.Context) error { return q.end(&lifecycle.Stop{Ctx: ctx}) }

// handlerGrace is how long Shutdown waits for a handler when its context has ended.
const handlerGrace = time.Second

// end is Shutdown and Release.
func (q *Queue) end(s *lifecycle.Stop) error {
	if q.life.InHandler() {
		return q.opError("shutdown", ErrInHandler)
	}
	if !q.life.RequestStop(s) {
		return q.awaitEnd(s.Ctx)
	}
	blocked := make(chan struct{})
	defer context.AfterFunc(s.Ctx, func() {
		time.AfterFunc(handlerGrace, func() { close(blocked) })
	})()
	for {
		served := q.life.ClaimEnd()
		if served == nil {
			break
		}
		// A Serve runs. It sees the wish when it wakes, and calls finish.
		defer q.life.Limit().EndWith(s.Ctx)()
		q.wake()
		select {
		case <-served:
		case <-q.life.Done():
		case <-blocked:
			q.Close()
			return q.opError("shutdown", s.Ctx.Err())
		}
	}
	if q.life.BecomeReader(blocked) {
		defer q.stopReading()
	} else if !q.life.IsClosed() {
		q.Close()
		return q.opError("shutdown", s.Ctx.Err())
	}
	if q.life.IsClosed() {
		return q.shutdownError(q.life.Result())
	}
	return q.shutdownError(q.finish(s, newInline(q, noHandler{q})))
}

// awaitEnd is Shutdown for all callers but the first.
func (q *Queue) awaitEnd(ctx context.Context) error {
	select {
	case <-q.life.Done():
		return q.shutdownError(q.life.Result())
	case <-ctx.Done():
		return q.opError("shutdown", ctx.Err())
	}
}

func (q *Queue) shutdownError(err error) error {
	if err != nil {
		return q.opError("shutdown", err)
	}
	return nil
}

// finish drains the queue and closes it. The caller is the reader, and d has what was
// dispatched before. If a callback panics or ends the goroutine, finish goes on without
// handlers.
func (q *Queue) finish(s *lifecycle.Stop, d dispatcher) (err error) {
	returned := false
	defer func() {
		if !returned && !s.Interrupted {
			defer q.Close()
			s.Interrupted = true
			_ = d.wait()
			_ = q.finish(s, newInline(q, noHandler{q}))
		}
	}()
	limit := q.life.Limit()
	defer limit.EndWith(s.Ctx)()

	// 1. Let no change of the configuration follow ours. A change that is being sent precedes
	//    it.
	_ = q.out.Exclusive(func() error {
		q.life.BeginEnd()
		return nil
	})
	owner := !s.Release && q.life.Sharing() != lifecycle.HandedOver // File fails from now on

	// 2. Dispatch what has been received.
	d.drain()
	err = q.dispatchRest(d)

	// 3. Keep new packets out, and dispatch those that wait in the kernel.
	var handlers, drained error
	if !s.Release {
		handlers, drained = q.drain(d, owner)
	}

	// 4. Wait for the workers, and dispatch what one that panicked has left.
	err = errors.Join(err, handlers, drained, d.wait(), q.dispatchRest(d))
	if q.life.IsClosed() {
		returned = true
		return ErrClosed
	}

	// 5. Wait for deferred packets. Those left get the Fallback.
	q.decideHeld(limit.Ctx)

	// 6. Send the last verdicts, and receive what the kernel says of them.
	err = errors.Join(err, q.out.Flush())
	if owner && drained == nil {
		handlers, drained = q.drain(d, owner)
		err = errors.Join(err, handlers, drained)
	}

	// 7. Close the socket. Nothing waits any more.
	returned = true
	q.life.SetResult(err)
	return errors.Join(err, q.Close())
}

// dispatchRest dispatches all that has been received. A handler that panics is not called
// again: the rest gets the Fallback.
func (q *Queue) dispatchRest(d dispatcher) (err error) {
	for !q.rx.empty() && !q.life.IsClosed() {
		if e := d.dispatch(); e != nil {
			err = errors.Join(err, e)
		}
	}
	return err
}

const (
	// replyWait is how long drain waits for the reply to its request before it sends another.
	replyWait = 100 * time.Millisecond
	// maxWaiting is how many packets can wait in a queue, whatever its maximum length is. Old
	// kernels have no such limit.
	maxWaiting = 1 << 16
)

// drain has d decide the packets that wait in the kernel. Its request keeps new packets out,
// so that the kernel's reply follows the last one.
//
// Without owner another process may go on with the queue: the request then changes nothing,
// and the other process may receive the reply. drain then ends when nothing comes for a while,
// or after as many packets as can wait in a queue.
//
// The first error is that of handlers, in spite of which the queue is drained.
func (q *Queue) drain(d dispatcher, owner bool) (handlers, err error) {
	changes, atMost := []nfqmsg.Change{{}}, maxWaiting
	if owner {
		var none uint32
		toFallback := nfqmsg.Change{Mask: uint32(FailOpen)}
		if q.cfg.Fallback == Accept {
			toFallback.Flags = uint32(FailOpen)
		}
		// Two messages: within one the kernel sets the flags last, and a packet on another
		// processor would meet the new length with the old flags.
		changes, atMost = []nfqmsg.Change{toFallback, {MaxLen: &none}}, math.MaxInt
	}
	for range configAttempts {
		seq, reply := q.replies.Expect()
		defer q.replies.Cancel(seq)
		if e := q.send(seq, true, changes...); e != nil {
			return handlers, e
		}
		done, h, e := q.dispatchUntil(reply, d, &atMost)
		handlers = errors.Join(handlers, h)
		if done || atMost <= 0 {
			return handlers, e
		}
	}
	if owner {
		err = errNoReply
	}
	return handlers, err
}

// dispatchUntil receives and dispatches until the reply comes. It gives up, and reports that
// it is not done, when nothing comes for replyWait, or after atMost packets, which it counts
// down. Until the time for handlers has passed, a failure to receive starts replyWait again:
// there may be packets behind it.
func (q *Queue) dispatchUntil(reply <-chan int32, d dispatcher, atMost *int) (
	done bool, handlers, err error) {
	limit := q.life.Limit()
	deadline := time.Now().Add(replyWait)
	for {
		select {
		case errno := <-reply:
			if errno == kernel.ENODEV { // the kernel has removed the queue, and all that waited
				errno = 0
			}
			return true, handlers, kernel.Error(errno)
		default:
		}
		if *atMost <= 0 {
			return false, handlers, nil
		}
		if err := q.conn.SetReadDeadline(deadline); err != nil {
			return true, handlers, err
		}
		err := q.rx.receive()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			if time.Now().Before(deadline) {
				continue // woken for another reason
			}
			return false, handlers, nil
		}
		if err != nil {
			return true, handlers, err
		}
		*atMost -= q.rx.n
		handlers = errors.Join(handlers, q.dispatchRest(d))
		if q.rx.n > 0 || !limit.Passed() {
			deadline = time.Now().Add(replyWait)
		}
	}
}
