// SPDX-License-Identifier: GPL-2.0-or-later

// Package bridge gives other packages of the module access to queues beyond the API. Package
// nfqueue sets its variables.
package bridge

import (
	"context"

	"github.com/chifflier/nfqueue-go/internal/transport"
)

// OpenOver opens a queue over a connection as nfqueue.Open does over a socket. cfg is
// an nfqueue.Config, the result an *nfqueue.Queue.
var OpenOver func(conn transport.Conn, cfg any) (queue any, err error)

// AwaitServe waits until nobody serves a queue, an *nfqueue.Queue that is closed. The
// error is that of ctx.
var AwaitServe func(ctx context.Context, queue any) error

// CheckVerdict returns the error of nfqueue.Held.Resolve for a verdict that the kernel would
// refuse.
var CheckVerdict func(verdict uint32) error

// Message returns the netlink message of a packet, an *nfqueue.Packet. It is valid as long as the
// packet's payload.
var Message func(packet any) []byte

// Warn writes a line about a packet, an *nfqueue.Packet, to the Logger of its queue: one a second
// at most.
var Warn func(packet any, msg string, args ...any)

// ServeFor serves a queue as nfqueue.Queue.Serve does, but leaves it open when ctx ends: packets
// then wait until the queue is served again. queue is an *nfqueue.Queue, handler an
// nfqueue.Handler.
var ServeFor func(ctx context.Context, queue, handler any) error
