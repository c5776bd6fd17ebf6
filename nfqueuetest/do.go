// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueuetest

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/chifflier/nfqueue-go"
)

// Do opens a queue with cfg, shows one packet to a handler there, and returns the packet's fate. It
// waits until the handler has returned and the packet has a verdict, for at most 10 seconds. The
// handler runs on a goroutine of its own; the packet has the id 1.
//
// Use the program's Config: the handler sees what a kernel tells such a queue, so a handler that
// needs the user of a packet fails here too if the program forgets the flag nfqueue.UIDGID.
// Config.NetNS has no meaning.
//
// The test fails if the handler
//
//   - gives no verdict in time, panics, returns an invalid verdict, or decides the packet twice;
//     then Do ends the test;
//   - changes the payload in place and does not call SetPayload, so that the kernel does not see
//     the change. It may do so with a packet that it drops. A change that is made after Defer is
//     not noticed.
//
// When Do returns, the memory of the packet is overwritten. What the handler has kept of it without
// a copy is 0xDB then.
func Do(tb testing.TB, cfg nfqueue.Config, h nfqueue.Handler, s Spec) Result {
	tb.Helper()
	if s.Match == nil {
		s.Match = func(Spec) bool { return false }
	}
	var log bytes.Buffer // may be read when Serve has returned
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	}
	k := NewKernel(tb)
	q, err := k.Open(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	f := k.Send(cfg.Queue, s)
	f.name = summary(s.withDefaults().Payload)

	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	served := make(chan error, 1)
	go func() {
		err := errGoexit
		defer func() { served <- err }()
		err = q.Serve(context.Background(), h)
	}()
	var r Result
	select {
	case err = <-served: // with the panic
	case <-f.Done():
		r = resultOf(f.flight.Outcome())
		if err = q.Shutdown(ctx); err == nil {
			err = <-served
		}
	case <-ctx.Done():
		where := f.String()
		q.Close()
		k.queues = nil // the message below says that the handler may not end
		tb.Fatalf(
			"nfqueuetest: no verdict within %v: %s; has the handler not returned, "+
				"or deferred the packet and not resolved it?",
			limit, where,
		)
	}
	stats := q.Stats()
	switch {
	case errors.Is(err, errGoexit):
		// The handler may have called one of these, on the goroutine that it has.
		if tb.Skipped() {
			tb.SkipNow()
		}
		if tb.Failed() {
			tb.FailNow()
		}
		tb.Fatal("nfqueuetest: the handler ended its goroutine")
	case err != nil:
		tb.Fatalf("nfqueuetest: %v: %v", f, err)
	case stats.Fallback.Panic > 0:
		tb.Fatalf("nfqueuetest: %v: the handler panicked: %s", f, &log)
	case stats.Fallback.Invalid > 0:
		tb.Fatalf("nfqueuetest: %v: the handler returned an invalid verdict: %s", f, &log)
	case stats.AlreadyResolved > 0 || stats.TooLate > 0:
		tb.Fatalf("nfqueuetest: %v: the handler decided the packet twice", f)
	}
	if f.lostChange() && stats.Fallback == (nfqueue.FallbackStats{}) {
		tb.Errorf("nfqueuetest: %v: %s", f, lostChange)
	}
	return r
}

// lostChange describes a mistake of a handler.
const lostChange = "the handler changed the payload without SetPayload, " +
	"so the kernel does not see the change"

// errGoexit says that Serve has not returned.
var errGoexit = errors.New("runtime.Goexit")
