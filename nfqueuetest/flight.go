// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueuetest

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/chifflier/nfqueue-go/internal/fakekernel"
	"github.com/chifflier/nfqueue-go/internal/ippkt"
)

// Flight is a packet on its way through the queues of a Kernel. Its methods are safe for concurrent
// use, except Result.
type Flight struct {
	tb     testing.TB
	flight *fakekernel.Flight
	name   string
	asked  atomic.Bool // the test knows how the flight ended
	told   atomic.Bool // and that a change of the payload was lost
}

// Done returns a channel that is closed when the packet has passed or has been dropped.
func (f *Flight) Done() <-chan struct{} {
	f.asked.Store(true)
	return f.flight.Done()
}

// Wait waits for the end of the flight and returns the result. The error is that of ctx, and names
// the packet.
func (f *Flight) Wait(ctx context.Context) (Result, error) {
	select {
	case <-f.Done():
		return resultOf(f.flight.Outcome()), nil
	case <-ctx.Done():
		return Result{}, fmt.Errorf("nfqueuetest: %v: %w", f, ctx.Err())
	}
}

// Result waits for the end of the flight and returns the result. After 10 seconds it ends the test.
// It must be called on the goroutine of the test.
func (f *Flight) Result() Result {
	f.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	r, err := f.Wait(ctx)
	if err != nil {
		f.tb.Fatalf("no verdict within %v: %v", limit, err)
	}
	return r
}

// lostChange reports, once, whether the handler of a flight that has ended changed the payload and
// did not send the change.
func (f *Flight) lostChange() bool {
	return f.flight.Outcome().LostChange && !f.told.Swap(true)
}

// String describes the packet and its place.
func (f *Flight) String() string {
	if queue, id, ok := f.flight.Queued(); ok {
		return fmt.Sprintf("packet %d of queue %d (%s)", id, queue, f.name)
	}
	return "packet (" + f.name + ")"
}

// summary describes a packet for messages.
func summary(payload []byte) string {
	flow, err := ippkt.FlowOf(payload)
	if err != nil {
		return fmt.Sprintf("%d bytes", len(payload))
	}
	return fmt.Sprintf("%v, %d bytes", flow, len(payload))
}
