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

// Do shows one packet to a handler and returns what became of it. It waits, for at
// most 10 seconds, until the handler has returned and a deferred packet is resolved.
// The handler runs on a goroutine of its own, on a queue with all flags set and the
// Fallback Drop; the packet has the id 1.
//
// The test fails at once when the packet gets no verdict in time, when the handler
// panics, when it returns an invalid verdict, and when it decides the packet twice.
func Do(tb testing.TB, h nfqueue.Handler, s Spec) Result {
	tb.Helper()
	if s.Match == nil {
		s.Match = func(Spec) bool { return false }
	}
	k := NewKernel(tb)
	var log bytes.Buffer // to be read when Serve has returned
	q, err := k.Open(nfqueue.Config{
		Flags:  doFlags,
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		tb.Fatal(err)
	}
	f := k.Send(0, s)
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
	case err = <-served: // of the panic
	case <-f.Done():
		r = resultOf(f.flight.Outcome())
		if err = q.Shutdown(ctx); err == nil {
			err = <-served
		}
	case <-ctx.Done():
		where := f.String()
		q.Close()
		k.queues = nil // that it may not end is said here
		tb.Fatalf("nfqueuetest: no verdict within %v: %s; has the handler not returned, or deferred the packet and not resolved it?", limit, where)
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
	case stats.Fallback.Invalid > 0:
		tb.Fatalf("nfqueuetest: %v: the handler returned an invalid verdict: %s", f, &log)
	case stats.AlreadyResolved > 0 || stats.TooLate > 0:
		tb.Fatalf("nfqueuetest: %v: the handler decided the packet twice", f)
	}
	return r
}

// doFlags are all that make a queue tell more.
const doFlags = nfqueue.UIDGID | nfqueue.SecCtx | nfqueue.Conntrack

// errGoexit says that Serve has not returned.
var errGoexit = errors.New("runtime.Goexit")
