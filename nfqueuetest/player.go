// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueuetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/bridge"
	"github.com/chifflier/nfqueue-go/internal/fakekernel"
)

// player shows one packet after another to a handler.
type player struct {
	kernel  *fakekernel.Kernel
	queue   *nfqueue.Queue
	handler nfqueue.Handler
	number  uint16
	log     bytes.Buffer // may be read when Serve has returned
	served  chan error   // the result of Serve
	over    bool         // served has been read

	calls  chan call     // of the handler, as they return
	ended  chan struct{} // nobody reads calls any more
	held   uint64        // packets deferred so far
	flying []flying      // in the order of the file
}

// call is a call of the handler that has returned. Its verdict is given after calls is read.
type call struct {
	verdict nfqueue.Verdict
	took    time.Duration
}

// flying is a packet without verdict.
type flying struct {
	Replayed
	flight *fakekernel.Flight
}

func newPlayer(cfg nfqueue.Config, h nfqueue.Handler) (*player, error) {
	p := &player{
		kernel: fakekernel.New(), handler: h, number: cfg.Queue,
		served: make(chan error, 1), calls: make(chan call), ended: make(chan struct{}),
	}
	cfg.Batch, cfg.MaxLen = 1, maxDeferred
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(&p.log, &slog.HandlerOptions{Level: slog.LevelError}))
	}
	opened, err := bridge.OpenOver(p.kernel.Dial(), cfg)
	if err != nil {
		return nil, err
	}
	p.queue = opened.(*nfqueue.Queue)
	go func() {
		err := errGoexit
		defer func() { p.served <- err }()
		err = p.queue.Serve(context.Background(), nfqueue.HandlerFunc(p.serve))
	}()
	return p, nil
}

// maxDeferred is the most packets that a kernel has room for.
const maxDeferred = 65536

// serve is the handler of the queue.
func (p *player) serve(packet *nfqueue.Packet) nfqueue.Verdict {
	start := time.Now()
	c := call{verdict: p.handler.ServePacket(packet)}
	c.took = time.Since(start)
	select {
	case p.calls <- c:
	case <-p.ended:
	}
	return c.verdict
}

// play sends a packet, and returns when it has its verdict or is deferred.
func (p *player) play(r Replayed) error {
	if r.Spec.Match == nil {
		r.Spec.Match = func(Spec) bool { return false }
	}
	flight := p.kernel.Send(r.Spec.rule(p.number), r.Spec.packet(p.kernel))
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	done := flight.Done()
	for returned, kept := false, false; !returned || done != nil && !kept; {
		select {
		case c := <-p.calls:
			returned = true
			r.Took += c.took
			// After Deferred without Packet.Defer the packet gets the Fallback.
			if held := p.queue.Stats().Deferred; held != p.held {
				p.held, kept = held, c.verdict == nfqueue.Deferred
			}
		case <-done:
			done = nil
			if len(flight.Outcome().Hops) == 0 {
				returned = true // the packet was not queued
			}
		case err := <-p.served:
			p.over = true
			if errors.Is(err, errGoexit) {
				return errors.New("the handler ended its goroutine")
			}
			return err
		case <-timeout.C:
			return fmt.Errorf("the handler has not returned within %v", limit)
		}
	}
	p.flying = append(p.flying, flying{r, flight})
	return p.check()
}

// check returns an error if the handler has made a mistake.
func (p *player) check() error {
	switch s := p.queue.Stats(); {
	case s.Fallback.Panic > 0:
		p.close()
		return fmt.Errorf("the handler panicked: %s", &p.log)
	case s.Fallback.Invalid > 0:
		p.close()
		return fmt.Errorf("the handler returned an invalid verdict: %s", &p.log)
	case s.AlreadyResolved > 0 || s.TooLate > 0:
		return errors.New("the handler decided this packet, or one before, twice")
	}
	return nil
}

// decided returns the packets that have a verdict by now. An error says which handler's mistake one
// of them shows.
func (p *player) decided() (done []Replayed, err error) {
	left := p.flying[:0]
	for _, f := range p.flying {
		select {
		case <-f.flight.Done():
			if f.flight.Outcome().LostChange {
				return nil, fmt.Errorf("packet %d: %s", f.Number, lostChange)
			}
			f.Result = resultOf(f.flight.Outcome())
			done = append(done, f.Replayed)
		default:
			left = append(left, f)
		}
	}
	clear(p.flying[len(left):])
	p.flying = left
	return done, nil
}

// rest waits for the packets that are still deferred.
func (p *player) rest(yield func(Replayed) bool) error {
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	for _, f := range p.flying {
		for decided := false; !decided; {
			select {
			case <-f.flight.Done():
				decided = true
			case <-p.calls: // again, after Repeat
			case <-timeout.C:
				return fmt.Errorf(
					"packet %d: deferred, and without verdict %v after the end of the capture", f.Number, limit,
				)
			}
		}
		if f.flight.Outcome().LostChange {
			return fmt.Errorf("packet %d: %s", f.Number, lostChange)
		}
		f.Result = resultOf(f.flight.Outcome())
		if !yield(f.Replayed) {
			return nil
		}
	}
	return p.check()
}

// close ends the queue, and waits until the handler has returned unless that takes too long.
func (p *player) close() {
	select {
	case <-p.ended:
		return
	default:
		close(p.ended)
	}
	now, cancel := context.WithCancel(context.Background())
	cancel()
	if err := p.queue.Shutdown(now); err == nil && !p.over {
		<-p.served
	}
}
