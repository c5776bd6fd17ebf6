// SPDX-License-Identifier: GPL-2.0-or-later

package consumer

import (
	"context"

	"github.com/chifflier/nfqueue-go/internal/netlab"
)

// Consumer is a way to decide the packets of a queue.
type Consumer interface {
	// Name identifies the consumer in results.
	Name() string
	// Can reports whether the consumer is able to do what s asks.
	Can(s Setup) bool
	// Start binds the queues of s in host. The consumer touches no packet before Running.Go. When
	// ctx ends it is stopped by force.
	Start(ctx context.Context, host *netlab.Host, s Setup) (Running, error)
}

// Running is a consumer at work.
type Running interface {
	// Go lets it start.
	Go() error
	// Stop asks it to end when no packets are left. One that was told how many packets to decide
	// ends by itself.
	Stop() error
	// Wait waits for its end.
	Wait() (Report, error)
	// Usage returns what the process uses of the machine.
	Usage() (Usage, error)
	// Close ends it at once, if it still runs, and releases what it used.
	Close() error
}
