// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"bytes"
	"context"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
)

// state is where a queue stands between Open and the end.
type state uint32

const (
	// stateOpen: nobody serves; packets wait.
	stateOpen state = iota
	// stateServing: Serve or ServeFlows has begun, and calls handlers.
	stateServing
	// stateEnding: the queue is drained; Set methods fail.
	stateEnding
	// stateClosed: the socket is closed.
	stateClosed
)

// lifecycle is the state of a queue, and who may do what in it.
//
//	         startServe
//	open ──────────────────▶ serving
//	 │ ▲                      │   │
//	 │ └──────────────────────┘   │ beginEnd
//	 │   stopServe: a panic,      │
//	 │   or ServeFor's context    ▼
//	 └───────────────────────▶ ending ────▶ closed
//	   claimEnd: Shutdown or             close, from
//	   Release, nobody serves            every state
//
// A wish to end (requestStop) does not change the state. The running Serve sees it and ends
// the queue; without one, Shutdown does. No Serve begins after it.
type lifecycle struct {
	mu sync.Mutex
	// state is changed with mu held, and read at any time.
	state atomic.Uint32
	// stop is the first wish to end. Set with mu held, once.
	stop atomic.Pointer[stop]
	// limit is the time for handlers of the Serve that runs, or runs next. Set with mu held.
	limit atomic.Pointer[limit]
	// result is how the queue came to its end, nil before. Guarded by mu.
	result *error
	// served is closed when the Serve that runs returns; nil before the first. Guarded by mu.
	served chan struct{}
	// done is closed by close.
	done chan struct{}
	// sharing tells whether another process has the socket. It only grows, with mu held.
	sharing atomic.Uint32

	// reader is full while a goroutine has the role of the one that receives, and owns
	// Queue.rx.
	reader chan struct{}
	// readerID is the id of that goroutine.
	readerID atomic.Uint64
	// workerIDs are those of the goroutines that call handlers for it. Guarded by mu.
	workerIDs map[uint64]bool
}

// Values of lifecycle.sharing.
const (
	unshared   uint32 = iota
	shared            // another process may receive from the socket
	handedOver        // and may go on with the queue, so that this one must leave it as it is
)

// stop is the wish to end the use of a queue without losing packets.
type stop struct {
	ctx         context.Context
	release     bool // another process goes on with the socket
	interrupted bool // a callback did not return; owned by the reader
}

func (l *lifecycle) init() {
	l.done, l.reader = make(chan struct{}), make(chan struct{}, 1)
	l.workerIDs = make(map[uint64]bool)
	l.limit.Store(newLimit())
}

func (l *lifecycle) is(s state) bool { return state(l.state.Load()) == s }

// closed is asked before each packet.
func (l *lifecycle) closed() bool { return l.is(stateClosed) }

// startServe makes the caller the one that serves, and the reader. It returns ErrServing or
// ErrClosed when it cannot. It reports done when Shutdown or Release has ended the queue; it
// waits for that if one of them was called before.
func (l *lifecycle) startServe() (limit *limit, done bool, err error) {
	inHandler := l.inHandler()
	l.mu.Lock()
	switch {
	case l.is(stateServing), inHandler && !l.is(stateClosed):
		l.mu.Unlock()
		return nil, false, ErrServing
	case !l.is(stateOpen), l.stop.Load() != nil:
		l.mu.Unlock()
		<-l.done
		if l.stop.Load() == nil || l.ended() == ErrClosed {
			return nil, false, ErrClosed
		}
		return nil, true, nil
	}
	l.state.Store(uint32(stateServing))
	limit = newLimit()
	l.limit.Store(limit)
	l.served = make(chan struct{})
	l.mu.Unlock()
	if !l.becomeReader(nil) {
		l.stopServe()
		return nil, false, ErrClosed
	}
	return limit, false, nil
}

// stopServe is called when Serve is about to return.
func (l *lifecycle) stopServe() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.is(stateServing) {
		l.state.Store(uint32(stateOpen))
	}
	close(l.served)
}

// requestStop records the wish to end, and reports whether it is the first.
func (l *lifecycle) requestStop(s *stop) (first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stop.CompareAndSwap(nil, s)
}

// claimEnd makes the caller, whose wish it was, the one that ends the queue. While a Serve
// runs it returns a channel that is closed when that has returned.
func (l *lifecycle) claimEnd() (serving <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.is(stateOpen):
		l.state.Store(uint32(stateEnding))
		l.limit.Store(newLimit())
	case !l.is(stateClosed):
		return l.served
	}
	return nil
}

// beginEnd is called by Serve when it begins to drain the queue.
func (l *lifecycle) beginEnd() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.is(stateServing) {
		l.state.Store(uint32(stateEnding))
	}
}

// close reports whether the caller is the one that closes the queue.
func (l *lifecycle) close() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.is(stateClosed) {
		return false
	}
	l.state.Store(uint32(stateClosed))
	close(l.done)
	return true
}

// setResult records how the queue came to its end.
func (l *lifecycle) setResult(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.result = &err
}

// ended returns how the queue came to its end, once it is closed. It is ErrClosed if Close
// came first: what waited is lost then.
func (l *lifecycle) ended() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.result == nil {
		return ErrClosed
	}
	return *l.result
}

// share records that another process has, or may have, the socket.
func (l *lifecycle) share(how uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sharing.Store(max(how, l.sharing.Load()))
}

func (l *lifecycle) isShared() bool { return l.sharing.Load() != unshared }

// becomeReader waits for the role of the reader. It reports false when the queue is closed
// first, or giveUp is.
func (l *lifecycle) becomeReader(giveUp <-chan struct{}) bool {
	select {
	case l.reader <- struct{}{}:
	case <-l.done:
		return false
	case <-giveUp:
		return false
	}
	l.becameReader()
	return true
}

// becameReader is called by a goroutine that has filled reader.
func (l *lifecycle) becameReader() { l.readerID.Store(goroutineID()) }

func (l *lifecycle) stopReading() {
	l.readerID.Store(0)
	<-l.reader
}

// addWorker makes the calling goroutine one that calls handlers, until remove is called.
func (l *lifecycle) addWorker() (remove func()) {
	id := goroutineID()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.workerIDs[id] = true
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.workerIDs, id)
	}
}

// inHandler reports whether the caller runs in a handler or another callback of the queue,
// for which a method that waits for those would wait for ever.
func (l *lifecycle) inHandler() bool {
	id := goroutineID()
	if l.readerID.Load() == id {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.workerIDs[id]
}

// goroutineID returns the number that a stack trace begins with. Nothing else tells a method
// that its caller is a handler. It takes a microsecond, and no packet waits for it.
func goroutineID() uint64 {
	var buf [64]byte
	b := bytes.TrimPrefix(buf[:runtime.Stack(buf[:], false)], []byte("goroutine "))
	digits, _, _ := bytes.Cut(b, []byte(" "))
	id, err := strconv.ParseUint(string(digits), 10, 64)
	if err != nil {
		panic("nfqueue: the stack trace begins with " + strconv.Quote(string(b)))
	}
	return id
}

// limit ends the time in which handlers are called, when the queue is about to end.
type limit struct {
	ctx    context.Context
	cancel context.CancelFunc
	passed atomic.Bool // ctx has ended; asked before each packet
}

func newLimit() *limit {
	l := &limit{}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

func (l *limit) end() {
	l.passed.Store(true)
	l.cancel()
}

// endWith ends l when ctx does, until stop is called.
func (l *limit) endWith(ctx context.Context) (stop func() bool) {
	if ctx.Err() != nil {
		l.end() // now, not when another goroutine gets to it
	}
	return context.AfterFunc(ctx, l.end)
}
