// SPDX-License-Identifier: GPL-2.0-or-later

package queuelab

import (
	"context"

	"github.com/chifflier/nfqueue-go"
)

// Servers are the ways to serve a queue with one function.
var Servers = map[string]func(context.Context, *nfqueue.Queue,
	func(*nfqueue.Packet) nfqueue.Verdict) error{
	"Serve": func(ctx context.Context, q *nfqueue.Queue,
		h func(*nfqueue.Packet) nfqueue.Verdict) error {
		return q.Serve(ctx, nfqueue.HandlerFunc(h))
	},
	"ServeFlows": func(ctx context.Context, q *nfqueue.Queue,
		h func(*nfqueue.Packet) nfqueue.Verdict) error {
		return q.ServeFlows(ctx, 3, Alike(func(_ int, p *nfqueue.Packet) nfqueue.Verdict { return h(p) }))
	},
}

// Marked accepts packets with a mark, so that each verdict is a message of its own. The kernel then
// reports each verdict for a packet that is gone.
var Marked = nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
	p.SetMark(1)
	return nfqueue.Accept
})

// Always gives every packet the same verdict.
func Always(v nfqueue.Verdict) nfqueue.HandlerFunc {
	return func(*nfqueue.Packet) nfqueue.Verdict { return v }
}

// Alike makes handlers that all do the same.
func Alike(f func(worker int, p *nfqueue.Packet) nfqueue.Verdict) func(int) nfqueue.Handler {
	return func(worker int) nfqueue.Handler {
		return nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict { return f(worker, p) })
	}
}

// Deferrer is a handler that defers some packets and accepts the others.
type Deferrer struct {
	which func(id uint32) bool
	Held  chan *nfqueue.Held // the deferred ones
}

// DeferIf makes a Deferrer of the packets with certain ids.
func DeferIf(which func(id uint32) bool) Deferrer {
	return Deferrer{which, make(chan *nfqueue.Held, 1<<16)}
}

// ServePacket implements nfqueue.Handler.
func (d Deferrer) ServePacket(p *nfqueue.Packet) nfqueue.Verdict {
	if !d.which(p.ID()) {
		return nfqueue.Accept
	}
	d.Held <- p.Defer()
	return nfqueue.Deferred
}

// Refusals receives the errors of Config.OnRefused.
type Refusals chan *nfqueue.VerdictError

// Add is the function for Config.OnRefused.
func (r Refusals) Add(e *nfqueue.VerdictError) { r <- e }
