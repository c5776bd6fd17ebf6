// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"context"
	"errors"
	"math"
	"os"
	"time"

	"github.com/chifflier/nfqueue-go/internal/kernel"
	"github.com/chifflier/nfqueue-go/internal/nfqmsg"
)

// Shutdown ends the use of the queue without losing a packet. It stops new packets
// from being queued - with the Fallback Accept the kernel lets them pass, with Drop
// it drops them - has a running Serve handle those that wait, waits for deferred
// ones, and closes the queue. When ctx ends first, whatever is left is given the
// Fallback. Without a running Serve that is every waiting packet.
//
// Serve returns nil. Shutdown must not be called from the handler, which it waits
// for; when the handler has not returned a second after ctx, Shutdown closes the
// queue and returns the error of ctx. After File it leaves the queue as it is to the
// process that has the socket; see there.
func (q *Queue) Shutdown(ctx context.Context) error { return q.end(&stop{ctx: ctx}) }

// end is Shutdown and Release.
func (q *Queue) end(s *stop) error {
	ctx := s.ctx
	if !q.stopping.CompareAndSwap(nil, s) {
		return q.awaitClose(ctx)
	}
	defer q.limit.Load().by(ctx)() // of a Serve that runs, also if it has begun to end
	q.wake()
	blocked := make(chan struct{})
	defer context.AfterFunc(ctx, func() { time.AfterFunc(handlerGrace, func() { close(blocked) }) })()
	select {
	case q.reader <- struct{}{}:
	case <-q.done: // by Serve, which finished the work, or by Close
		return q.shutdownError(q.finished())
	case <-blocked:
		q.Close()
		return q.opError("shutdown", ctx.Err())
	}
	defer q.releaseReader()
	if q.closed.Load() {
		return q.shutdownError(q.finished())
	}
	q.limit.Store(newLimit())
	return q.shutdownError(q.finish(s, &inline{q: q, h: noHandler{q}}))
}

// finished returns how the queue came to its end, once it is closed.
func (q *Queue) finished() error {
	if err := q.ended.Load(); err != nil {
		return *err
	}
	return ErrClosed // and what waited is lost
}

func (q *Queue) shutdownError(err error) error {
	if err != nil {
		return q.opError("shutdown", err)
	}
	return nil
}

// handlerGrace is how long Shutdown waits for a handler when its context has ended.
const handlerGrace = time.Second

// awaitClose is Shutdown for all callers but the first.
func (q *Queue) awaitClose(ctx context.Context) error {
	select {
	case <-q.done:
		return q.shutdownError(q.finished())
	case <-ctx.Done():
		return q.opError("shutdown", ctx.Err())
	}
}

// finish has what waits decided by d, waits for deferred packets and closes the queue.
// The caller is the reader. If OnRefused or OnPanic panics, or a callback ends the goroutine,
// the queue comes to its end all the same, and what is left gets the Fallback.
func (q *Queue) finish(s *stop, d dispatcher) error {
	returned := false
	defer func() {
		if !returned {
			defer q.Close()
			_ = d.settle()
			_ = q.decideAll(s, &inline{q: q, h: noHandler{q}})
		}
	}()
	err := q.decideAll(s, d)
	returned = true
	return err
}

// decideAll is finish for callbacks that return.
func (q *Queue) decideAll(s *stop, d dispatcher) error {
	l := q.limit.Load()
	defer l.by(s.ctx)()
	q.refuseChanges()
	d.drain()
	err := q.handleRest(d)
	var drained error
	own := !s.release && !q.handed.Load()
	if own {
		drained = q.drain(d)
	} else if !s.release {
		drained = q.sweep(d)
	}
	err = errors.Join(err, drained, d.settle(), q.handleRest(d))
	if q.closed.Load() {
		return ErrClosed
	}
	q.held.wait(l.ctx)
	q.held.expire()
	q.held.wait(context.Background()) // for those who have claimed theirs and are about to hand it in
	err = errors.Join(err, q.out.Flush())
	if own && drained == nil {
		err = errors.Join(err, q.drain(d)) // for what the kernel says of the last verdicts
	}
	q.ended.Store(&err)
	return errors.Join(err, q.Close())
}

// drainPoll is how long drain waits for the reply to its request before it sends
// another.
const drainPoll = 100 * time.Millisecond

// handleRest handles all that has been received. A handler that panics is not called
// again: the rest gets the Fallback.
func (q *Queue) handleRest(d dispatcher) (err error) {
	for (q.cur < q.n || len(q.stash) > 0) && !q.closed.Load() {
		if e := d.handle(); e != nil {
			err = errors.Join(err, e)
		}
	}
	return err
}

// drain keeps new packets out and decides those that wait. The kernel's reply
// follows the last of them.
func (q *Queue) drain(d dispatcher) error {
	var none uint32
	closed := nfqmsg.Change{MaxLen: &none}
	// In a message of its own: within one, the kernel sets the flags last, and a packet
	// on another processor would meet the maximum length with the flags of before.
	toFallback := nfqmsg.Change{Mask: uint32(FailOpen)}
	if q.cfg.Fallback == Accept {
		toFallback.Flags = uint32(FailOpen)
	}
	done, err := q.decideWaiting(d, math.MaxInt, toFallback, closed)
	if !done {
		err = errors.Join(err, errNoReply)
	}
	return err
}

// maxWaiting is how many packets wait in a queue at the most, whatever its maximum length
// is. Old kernels have no such limit.
const maxWaiting = 1 << 16

// sweep decides the packets that wait, and changes nothing for the process that may have
// the socket too. That may also read what would tell that none is left; then enough have
// been read when it has been too quiet, or too many.
func (q *Queue) sweep(d dispatcher) error {
	_, err := q.decideWaiting(d, maxWaiting, nfqmsg.Change{})
	return err
}

// decideWaiting makes changes and has d decide the packets that wait, until the kernel's reply
// comes behind them. It asks again when the reply does not come, and reports in the end, or
// after atMost packets, that it is not done.
func (q *Queue) decideWaiting(d dispatcher, atMost int, changes ...nfqmsg.Change) (done bool, err error) {
	for range configAttempts {
		seq, reply := q.replies.expect()
		defer q.replies.forget(seq)
		if e := q.send(seq, true, changes...); e != nil {
			return true, errors.Join(err, e)
		}
		done, e := q.handleUntil(reply, d, &atMost)
		err = errors.Join(err, e)
		if done || atMost <= 0 {
			return done, err
		}
	}
	return false, err
}

// handleUntil receives, and has d handle what comes, until that is reply. It gives up,
// and reports that it is not done, when nothing comes for drainPoll, or after atMost
// packets, which it counts down. Failures to receive count as nothing only when the time
// for handlers has passed: until then there may be packets behind them.
func (q *Queue) handleUntil(reply <-chan int32, d dispatcher, atMost *int) (done bool, err error) {
	limit := q.limit.Load()
	deadline := time.Now().Add(drainPoll)
	for {
		select {
		case errno := <-reply:
			if errno == kernel.ENODEV { // the kernel has removed the queue, and all that waited
				errno = 0
			}
			return true, errors.Join(err, kernel.Error(errno))
		default:
		}
		if *atMost <= 0 {
			return false, err
		}
		if e := q.conn.SetReadDeadline(deadline); e != nil {
			return true, errors.Join(err, e)
		}
		e := q.receive()
		if errors.Is(e, os.ErrDeadlineExceeded) {
			if time.Now().Before(deadline) {
				continue // woken for another reason
			}
			return false, err
		}
		if e != nil {
			return true, errors.Join(err, e)
		}
		*atMost -= q.n
		err = errors.Join(err, q.handleRest(d))
		if q.n > 0 || !limit.passed.Load() {
			deadline = time.Now().Add(drainPoll)
		}
	}
}
