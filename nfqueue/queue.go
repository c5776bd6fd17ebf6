// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"

	"github.com/chifflier/nfqueue-go"
)

// Callback is called for each packet. The program must call SetVerdict or one of its variants, in
// the callback or later. The result of the callback is ignored. Use nfqueue.Handler instead, which
// returns the verdict.
type Callback func(*Payload) int

// Queue is a queue of the kernel and the function that decides its packets. The zero value is ready
// for Init. A Queue must not be copied after Init. All methods are safe for concurrent use. Use
// nfqueue.Queue instead.
type Queue struct {
	mu      sync.Mutex
	cb      Callback
	open    func(nfqueue.Config) (*nfqueue.Queue, error) // set by Init
	queue   *nfqueue.Queue                               // between CreateQueue and DestroyQueue
	running context.Context                              // of Loop, until StopLoop
	stop    context.CancelFunc                           // ends running
}

// Init prepares q. A second call does nothing; after Close, Init prepares q anew. It does not open
// the socket: CreateQueue does, and fails if privileges are missing. On systems other than Linux
// Init fails with ErrOpenFailed and errors.ErrUnsupported.
func (q *Queue) Init() error {
	if runtime.GOOS != "linux" {
		return fmt.Errorf(
			"%w: %w: NFQUEUE is a part of Linux, this is %s", ErrOpenFailed, errors.ErrUnsupported,
			runtime.GOOS,
		)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.open == nil {
		q.open = nfqueue.Open
	}
	return nil
}

// SetCallback sets the function that is called for each packet, also while Loop runs. It must be
// called before CreateQueue. The error is always nil. The Handler of nfqueue.Run takes its place.
func (q *Queue) SetCallback(cb Callback) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.cb = cb
	return nil
}

// Bind only checks that Init was called. Since Linux 3.8 the kernel ignores the binding of protocol
// families, so no call takes its place.
func (q *Queue) Bind(af_family int) error { return q.initialized() }

// Unbind only checks that Init was called, as Bind does.
func (q *Queue) Unbind(af_family int) error { return q.initialized() }

func (q *Queue) initialized() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.open == nil {
		return ErrNotInitialized
	}
	return nil
}

// CreateQueue binds the queue with a number from 0 to 65535. Whole packets are copied. Call Init
// and SetCallback before. From then on packets wait in the queue. A Queue can have one queue at a
// time: a second call fails with ErrRuntime until DestroyQueue. Use nfqueue.Open instead; this is
// nfqueue.Config{Queue: queue_num, Flags: nfqueue.NoGSO}.
func (q *Queue) CreateQueue(queue_num int) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.open == nil || q.cb == nil:
		return ErrNotInitialized
	case queue_num < 0 || queue_num > math.MaxUint16:
		return runtimeError(
			fmt.Errorf("queue %d: the number must be from 0 to %d", queue_num, math.MaxUint16),
		)
	case q.queue != nil:
		return runtimeError(
			fmt.Errorf("queue %d: call DestroyQueue for queue %d first, or use another Queue", queue_num,
				q.queue.Number()),
		)
	}
	// StopLoop leaves packets in the kernel, so do not receive more than one ahead.
	opened, err := q.open(nfqueue.Config{Queue: uint16(queue_num), Flags: nfqueue.NoGSO, Batch: 1})
	if err != nil {
		return runtimeError(err)
	}
	q.queue = opened
	return nil
}

// DestroyQueue unbinds the queue. The kernel drops the packets that have no verdict. A running Loop
// returns an error, half a second later. Use nfqueue.Queue.Shutdown instead, which loses no packet,
// or Close.
func (q *Queue) DestroyQueue() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.queue == nil {
		return ErrNotInitialized
	}
	err := q.queue.Close()
	q.queue = nil
	return runtimeError(err)
}

// Close is DestroyQueue, if there is a queue; afterwards q needs Init again. It may be called more
// than once.
func (q *Queue) Close() {
	_ = q.DestroyQueue()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.open = nil
}

// created returns the queue of CreateQueue.
func (q *Queue) created() (*nfqueue.Queue, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.queue == nil {
		return nil, ErrNotInitialized
	}
	return q.queue, nil
}
