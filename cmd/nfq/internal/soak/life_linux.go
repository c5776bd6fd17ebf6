// SPDX-License-Identifier: GPL-2.0-or-later

package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
)

// life is a queue from Open to its end.
//
// A smooth life has every kind of verdict, and ends in order: every verdict must have its effect. In
// a rough one devices go down, chains are removed, and the queue is closed while packets wait. The
// kernel reports that a verdict was too late, but not which verdict it was, so a rough life only
// accepts.
type life struct {
	s   *scene
	rnd *rand.Rand

	rough    bool
	handOver bool // to another Queue on the same socket, half-way
	tiny     bool // receive buffer
	workers  int
	cfg      nfqueue.Config
	span     time.Duration
	pace     *pace

	handlers []*handler
	held     chan *nfqueue.Held
	moved    atomic.Uint64
	queues   []*served
	stats    nfqueue.Stats // of all queues
	passed   uint64
	faults   int
}

// served is a Queue with the goroutine that serves it.
type served struct {
	*nfqueue.Queue
	result chan error
}

func newLife(s *scene, rnd *rand.Rand) *life {
	l := &life{s: s, rnd: rnd, pace: &pace{}, held: make(chan *nfqueue.Held, 1<<16)}
	l.rough = rnd.IntN(6) == 0
	l.handOver = rnd.IntN(5) == 0
	l.tiny = !l.rough && rnd.IntN(15) == 0
	l.workers = 1
	if rnd.IntN(3) == 0 {
		l.workers = 2 + rnd.IntN(3)
	}
	l.span = time.Duration(500+rnd.IntN(2000)) * time.Millisecond
	l.cfg = nfqueue.Config{
		Flags:        nfqueue.NoGSO,
		Batch:        16 << rnd.IntN(5),
		MaxLen:       uint32(256 << rnd.IntN(6)),
		DrainTimeout: time.Minute,
		NetNS:        s.Server.FD(),
		OnPanic:      func(*nfqueue.PanicError) {},
	}
	if rnd.IntN(20) == 0 {
		l.cfg.Flags = 0
	}
	if rnd.IntN(3) == 0 {
		l.cfg.OnPanic = nil // and Serve is called again
	}
	if rnd.IntN(20) == 0 {
		l.cfg.Batch = 1
	}
	if rnd.IntN(20) == 0 {
		l.cfg.MaxLen = 10
	}
	if rnd.IntN(4) != 0 { // otherwise more arrives than can be decided
		l.pace.window = uint64(max(segments, l.cfg.MaxLen/2))
	}
	if rnd.IntN(4) == 0 {
		l.cfg.CopyRange = uint32(28 + rnd.IntN(100))
	}
	if l.tiny {
		l.cfg.ReadBuffer = 1
	}
	if l.rough {
		l.cfg.Fallback = nfqueue.Accept
		l.pace.window = 512
		l.span /= 2
		l.cfg.MaxLen = 64
		l.cfg.ReadBuffer = answersBuffer
	}
	return l
}

// answersBuffer is a receive buffer with room for the kernel's answers to many verdicts. Without
// privileges the kernel grants less, and a rough queue must be short.
const answersBuffer = 16 << 20

func (l *life) String() string {
	return fmt.Sprintf(
		"%s, window %d, handed over: %v, %d workers, batch %d, length %d, small buffer: %v, offload: %v, %v",
		l.kind(),
		l.pace.window,
		l.handOver,
		l.workers,
		l.cfg.Batch,
		l.cfg.MaxLen,
		l.tiny,
		l.cfg.Flags&nfqueue.NoGSO == 0,
		l.span,
	)
}

func (l *life) kind() string {
	if l.rough {
		return "rough"
	}
	return "smooth"
}

func (l *life) run(ctx context.Context) error {
	before, movedBefore, err := l.s.passed()
	if err != nil {
		return err
	}
	l.s.pace.Store(l.pace)
	q, err := nfqueue.Open(l.cfg)
	if err != nil {
		return err
	}
	if l.rough && q.Stats().ReadBuffer >= answersBuffer {
		l.cfg.MaxLen = 1024
		if err := q.SetMaxLen(l.cfg.MaxLen); err != nil {
			return errors.Join(err, q.Close())
		}
	}
	l.serve(q)
	var resolvers sync.WaitGroup
	for i := range 4 {
		rnd := rand.New(rand.NewPCG(l.rnd.Uint64(), uint64(i)))
		resolvers.Go(func() { l.resolve(rnd) })
	}
	err = l.pass(ctx)
	if err == nil {
		err = l.end()
	}
	for _, q := range l.queues { // also after an error
		err = errors.Join(err, q.Close())
	}
	close(l.held)
	resolvers.Wait()
	if err != nil {
		return err
	}
	after, movedAfter, err := l.s.passed()
	if err != nil {
		return err
	}
	l.passed = after - before
	return l.balance(movedAfter - movedBefore)
}

// serve starts to serve a queue.
func (l *life) serve(q *nfqueue.Queue) {
	handlers := make([]*handler, l.workers)
	for i := range handlers {
		handlers[i] = &handler{l: l, rnd: rand.New(rand.NewPCG(l.rnd.Uint64(), uint64(i)))}
	}
	l.handlers = append(l.handlers, handlers...)
	s := &served{q, make(chan error, 1)}
	l.queues = append(l.queues, s)
	go func() {
		for {
			err := q.ServeFlows(context.Background(), l.workers,
				func(worker int) nfqueue.Handler { return handlers[worker] })
			var p *nfqueue.PanicError
			if l.cfg.OnPanic == nil && errors.As(err, &p) && !errors.Is(err, nfqueue.ErrClosed) {
				continue
			}
			s.result <- err
			return
		}
	}()
}

// pass lets time pass, and injects faults.
func (l *life) pass(ctx context.Context) error {
	half := l.span / 2
	for end := time.Now().Add(l.span); time.Now().Before(end); {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(1+l.rnd.IntN(150)) * time.Millisecond):
		}
		if l.handOver && len(l.queues) == 1 && time.Until(end) < half {
			if err := l.handToNext(); err != nil {
				return fmt.Errorf("hand over: %w", err)
			}
		}
		if err := l.fault(); err != nil {
			return err
		}
	}
	return nil
}

// fault does one thing that a queue must survive.
func (l *life) fault() error {
	l.faults++
	q := l.queues[len(l.queues)-1]
	if l.tiny { // replies to changes may be lost
		return nil
	}
	switch n := l.rnd.IntN(6); {
	case n == 0:
		return answered(q.SetMaxLen(l.cfg.MaxLen - uint32(l.rnd.IntN(int(l.cfg.MaxLen)/2))))
	case n == 1 && l.cfg.CopyRange == 0:
		return errors.Join(answered(q.SetCopy(nfqueue.CopyMeta, 0)),
			answered(q.SetCopy(nfqueue.CopyPacket, 0)))
	case n <= 2 && l.rough && l.rnd.IntN(4) == 0: // it takes up to a second until the client sends again
		return errors.Join(l.s.Server.SetUp(netlab.Eth, false), l.s.Server.SetUp(netlab.Eth, true))
	case n <= 5 && l.rough:
		table, err := l.s.Server.AddTable(netlab.IP6, "flush")
		if err != nil {
			return err
		}
		_, err = table.AddChain("unused", netlab.Forward, 0, netlab.PolicyAccept)
		return errors.Join(err, table.Delete())
	case n == 4:
		l.s.paused.Lock()
		time.Sleep(time.Millisecond)
		l.s.paused.Unlock()
	}
	return nil
}

// answered returns the error of a change, unless the kernel's reply was too far behind the packets
// that wait to be read, as with a long queue on a slow machine.
func answered(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return err
}

// handToNext hands the socket to another Queue, as to another process.
func (l *life) handToNext() error {
	old := l.queues[0]
	f, err := old.File()
	if err != nil {
		return err
	}
	next, err := nfqueue.OpenFile(f, l.cfg)
	_ = f.Close()
	if err != nil {
		return err
	}
	l.serve(next)
	return drained(old.Release)
}

// drained ends a queue by Release or Shutdown. A handler may panic meanwhile: its packets have the
// Fallback then.
func drained(end func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := end(ctx); !isPanic(err) {
		return err
	}
	return nil
}

// patience bounds every wait for something that must happen.
const patience = time.Minute

// end ends the last queue, and waits until nobody serves any.
func (l *life) end() error {
	q := l.queues[len(l.queues)-1]
	if l.rough {
		if err := l.settle(q); err != nil {
			return err
		}
		time.Sleep(time.Duration(l.rnd.IntN(20)) * time.Millisecond) // for the flood
		if err := q.Close(); err != nil {
			return err
		}
	} else {
		if err := l.reckon(q); err != nil {
			return err
		}
		if err := drained(q.Shutdown); err != nil {
			return err
		}
	}
	for _, q := range l.queues {
		select {
		case err := <-q.result:
			if err != nil && !errors.Is(err, nfqueue.ErrClosed) && !isPanic(err) {
				return err
			}
		case <-time.After(patience):
			return errors.New("a call of Serve does not return")
		}
	}
	return nil
}

// isPanic reports whether a handler panicked while its queue was drained, when Serve must not
// continue.
func isPanic(err error) bool {
	var p *nfqueue.PanicError
	return errors.As(err, &p)
}

// reckon stops the flood for a moment and compares what the kernel has queued with what
// has been received.
func (l *life) reckon(q *served) error {
	if l.handOver || q.Stats().Kernel == nil { // two queues have received, or the counters cannot be read
		return nil
	}
	l.s.paused.Lock()
	defer l.s.paused.Unlock()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		s := q.Stats()
		k := s.Kernel
		if k != nil && k.Backlog == 0 && uint64(k.LastID) == s.Received+uint64(k.UserDropped) {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("the kernel has queued %+v, %d were received: %+v", k, s.Received, s)
		}
	}
}

// settle stops the flood until the kernel's answers to all verdicts were read: answers that are
// unread when a queue is closed are not counted.
func (l *life) settle(q *served) error {
	l.s.paused.Lock()
	defer l.s.paused.Unlock()
	until := func(settled func(nfqueue.Stats) bool) error {
		for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
			s := q.Stats()
			if settled(s) {
				// The answer is behind all that has been sent to the socket.
				return q.SetMaxLen(l.cfg.MaxLen)
			}
			if time.Now().After(end) {
				return fmt.Errorf("packets wait: %+v", s)
			}
		}
	}
	if err := until(func(s nfqueue.Stats) bool { return s.ReadBufferUsed == 0 }); err != nil {
		return err
	}
	return until(func(s nfqueue.Stats) bool { return s.Held == 0 && s.Undecided() == 0 })
}

// balance checks the counts of a life.
func (l *life) balance(moved uint64) error {
	for _, q := range l.queues {
		s := q.Stats()
		sum(&l.stats, s)
		if s.Received != s.Verdicts()+s.Abandoned || s.Held != 0 ||
			s.AlreadyResolved+s.Malformed != 0 {
			return fmt.Errorf("%d packets were received, %d have verdicts: %+v", s.Received, s.Verdicts(), s)
		}
	}
	s := l.stats
	none := s.TooLate + s.Refused + s.Unsent
	calls := uint64(0)
	for _, h := range l.handlers {
		calls += h.calls
	}
	if l.rough && s.Lost > 0 && l.passed <= s.Verdicts()-s.Dropped-none {
		return nil // answers of the kernel were lost together with packets
	}
	if l.passed != s.Verdicts()-s.Dropped-none {
		return fmt.Errorf("%d datagrams have gone on, verdicts let %d: %+v", l.passed,
			s.Verdicts()-s.Dropped-none, s)
	}
	if l.rough {
		if s.Dropped != 0 || s.Refused != 0 {
			return fmt.Errorf("verdicts that nobody gave: %+v", s)
		}
		return nil
	}
	if none+s.Abandoned != 0 || s.Fallback.Send != 0 {
		return fmt.Errorf("%d verdicts had no effect: %+v", none, s)
	}
	if l.cfg.OnPanic != nil && (calls != s.Received || s.Fallback.Shutdown != 0) {
		return fmt.Errorf("handlers were called %d times for %d packets: %+v", calls, s.Received, s)
	}
	if want := l.moved.Load(); moved != want {
		return fmt.Errorf("%d datagrams were moved to another port, %d have arrived there", want, moved)
	}
	return nil
}
