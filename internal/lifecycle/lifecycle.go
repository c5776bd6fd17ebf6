// SPDX-License-Identifier: GPL-2.0-or-later

// Package lifecycle says where a queue stands between its opening and its end, and which
// goroutine may do what with it. It knows no packets.
package lifecycle

import (
	"bytes"
	"context"
	"errors"
	"net"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
)

// State is where a queue stands between its opening and its end.
type State uint32

const (
	// Open: nobody serves; packets wait.
	Open State = iota
	// Serving: Serve or ServeFlows has begun, and calls handlers.
	Serving
	// Ending: the queue is drained; Set methods fail.
	Ending
	// Closed: the socket is closed.
	Closed
)

// ErrServing means that a queue is being served.
var ErrServing = errors.New("queue is already being served")

// Lifecycle is the state of a queue, and who may do what in it.
//
//	         StartServe
//	open ──────────────────▶ serving
//	 │ ▲                      │   │
//	 │ └──────────────────────┘   │ BeginEnd
//	 │   StopServe: a panic,      │
//	 │   or ServeFor's context    ▼
//	 └───────────────────────▶ ending ────▶ closed
//	   ClaimEnd: Shutdown or             Close, from
//	   Release, nobody serves            every state
//
// A wish to end (RequestStop) does not change the state. The running Serve sees it and ends
// the queue; without one, Shutdown does. No Serve begins after it.
type Lifecycle struct {
	mu sync.Mutex
	// state is changed with mu held, and read at any time.
	state atomic.Uint32
	// stop is the first wish to end. Set with mu held, once.
	stop atomic.Pointer[Stop]
	// limit is the time for handlers of the Serve that runs, or runs next. Set with mu held.
	limit atomic.Pointer[Limit]
	// result is how the queue came to its end, nil before. Guarded by mu.
	result *error
	// served is closed when the Serve that runs returns; nil before the first. Guarded by mu.
	served chan struct{}
	// done is closed by Close.
	done chan struct{}
	// sharing tells whether another process has the socket. It only grows, with mu held.
	sharing atomic.Uint32

	// reader is full while a goroutine is the reader: it alone receives, and owns what it
	// receives into.
	reader chan struct{}
	// readerID is the id of that goroutine.
	readerID atomic.Uint64
	// workerIDs are those of the goroutines that call handlers for it. Guarded by mu.
	workerIDs map[uint64]bool
}

// Sharing tells whether another process has the socket.
type Sharing uint32

const (
	// Unshared: this process alone has the socket.
	Unshared Sharing = iota
	// Shared: another process may receive from the socket.
	Shared
	// HandedOver: another process may go on with the queue, so this one must leave it as it is.
	HandedOver
)

// Stop is the wish to end the use of a queue without losing packets.
type Stop struct {
	Ctx         context.Context
	Release     bool // another process goes on with the socket
	Interrupted bool // a callback did not return; owned by the reader
}

// Init begins the life of a queue that is open.
func (l *Lifecycle) Init() {
	l.done, l.reader = make(chan struct{}), make(chan struct{}, 1)
	l.workerIDs = make(map[uint64]bool)
	l.limit.Store(newLimit())
}

// Is reports whether the queue is in a state.
func (l *Lifecycle) Is(s State) bool { return State(l.state.Load()) == s }

// IsClosed reports whether the queue is closed. It is asked before each packet.
func (l *Lifecycle) IsClosed() bool { return l.Is(Closed) }

// StartServe makes the caller the one that serves, and the reader. It returns ErrServing or
// net.ErrClosed when it cannot. It reports done when Shutdown or Release has ended the queue;
// it waits for that if one of them was called before.
func (l *Lifecycle) StartServe() (limit *Limit, done bool, err error) {
	inHandler := l.InHandler()
	l.mu.Lock()
	switch {
	case l.Is(Serving), inHandler && !l.Is(Closed):
		l.mu.Unlock()
		return nil, false, ErrServing
	case !l.Is(Open), l.stop.Load() != nil:
		l.mu.Unlock()
		<-l.done
		if l.stop.Load() == nil || l.Result() == net.ErrClosed {
			return nil, false, net.ErrClosed
		}
		return nil, true, nil
	}
	l.state.Store(uint32(Serving))
	limit = newLimit()
	l.limit.Store(limit)
	l.served = make(chan struct{})
	l.mu.Unlock()
	if !l.BecomeReader(nil) {
		l.StopServe()
		return nil, false, net.ErrClosed
	}
	return limit, false, nil
}

// StopServe is called when Serve is about to return.
func (l *Lifecycle) StopServe() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.Is(Serving) {
		l.state.Store(uint32(Open))
	}
	close(l.served)
}

// RequestStop records the wish to end, and reports whether it is the first.
func (l *Lifecycle) RequestStop(s *Stop) (first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stop.CompareAndSwap(nil, s)
}

// ClaimEnd makes the caller, whose wish it was, the one that ends the queue. While a Serve
// runs it returns a channel that is closed when that has returned.
func (l *Lifecycle) ClaimEnd() (serving <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.Is(Open):
		l.state.Store(uint32(Ending))
		l.limit.Store(newLimit())
	case !l.Is(Closed):
		return l.served
	}
	return nil
}

// BeginEnd is called by Serve when it begins to drain the queue.
func (l *Lifecycle) BeginEnd() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.Is(Serving) {
		l.state.Store(uint32(Ending))
	}
}

// Close reports whether the caller is the one that closes the queue.
func (l *Lifecycle) Close() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.Is(Closed) {
		return false
	}
	l.state.Store(uint32(Closed))
	close(l.done)
	return true
}

// SetResult records how the queue came to its end.
func (l *Lifecycle) SetResult(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.result = &err
}

// Result returns how the queue came to its end, once it is closed. It is net.ErrClosed if Close
// came first: what waited is lost then.
func (l *Lifecycle) Result() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.result == nil {
		return net.ErrClosed
	}
	return *l.result
}

// Share records that another process has, or may have, the socket. It reports false, and records
// nothing, if the socket cannot be handed over: the queue is ending as one that nobody else has.
func (l *Lifecycle) Share(how Sharing) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if how == HandedOver && l.Sharing() != HandedOver && !l.Is(Open) && !l.Is(Serving) {
		if s := l.stop.Load(); s == nil || !s.Release {
			return false
		}
	}
	l.sharing.Store(max(uint32(how), l.sharing.Load()))
	return true
}

// Sharing returns what Share has recorded.
func (l *Lifecycle) Sharing() Sharing { return Sharing(l.sharing.Load()) }

// Stop returns the wish to end, nil if there is none.
func (l *Lifecycle) Stop() *Stop { return l.stop.Load() }

// Limit returns the time for handlers of the Serve that runs, or runs next.
func (l *Lifecycle) Limit() *Limit { return l.limit.Load() }

// Done is closed when the queue is.
func (l *Lifecycle) Done() <-chan struct{} { return l.done }

// Reader is for select: the goroutine that sends to it gets the role of the reader, and calls
// BecameReader next.
func (l *Lifecycle) Reader() chan<- struct{} { return l.reader }

// BecomeReader waits for the role of the reader. It reports false when the queue is closed
// first, or giveUp is.
func (l *Lifecycle) BecomeReader(giveUp <-chan struct{}) bool {
	select {
	case l.reader <- struct{}{}:
	case <-l.done:
		return false
	case <-giveUp:
		return false
	}
	l.BecameReader()
	return true
}

// BecameReader is called by a goroutine that has filled reader.
func (l *Lifecycle) BecameReader() { l.readerID.Store(goroutineID()) }

// TryReading reports whether the caller got the role of the reader, without waiting for it.
func (l *Lifecycle) TryReading() bool {
	select {
	case l.reader <- struct{}{}:
		l.BecameReader()
		return true
	default:
		return false
	}
}

// StopReading gives up the role of the reader.
func (l *Lifecycle) StopReading() {
	l.readerID.Store(0)
	<-l.reader
}

// AddWorker makes the calling goroutine one that calls handlers, until remove is called.
func (l *Lifecycle) AddWorker() (remove func()) {
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

// InHandler reports whether the caller runs in a handler or another callback of the queue,
// for which a method that waits for those would wait for ever.
func (l *Lifecycle) InHandler() bool {
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

// Limit ends the time in which handlers are called, when the queue is about to end.
type Limit struct {
	Ctx    context.Context
	cancel context.CancelFunc
	passed atomic.Bool
}

func newLimit() *Limit {
	l := new(Limit)
	l.Ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

// End ends the time now.
func (l *Limit) End() {
	l.passed.Store(true)
	l.cancel()
}

// EndWith ends l when ctx does, until stop is called.
func (l *Limit) EndWith(ctx context.Context) (stop func() bool) {
	if ctx.Err() != nil {
		l.End() // now, not when another goroutine gets to it
	}
	return context.AfterFunc(ctx, l.End)
}

// Passed reports whether the time has ended. It is asked before each packet.
func (l *Limit) Passed() bool { return l.passed.Load() }
