// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/chifflier/nfqueue-go/internal/latency"
	"github.com/chifflier/nfqueue-go/internal/lifecycle"
	"github.com/chifflier/nfqueue-go/internal/losslog"
	"github.com/chifflier/nfqueue-go/internal/nfqmsg"
	"github.com/chifflier/nfqueue-go/internal/roundwatch"
	"github.com/chifflier/nfqueue-go/internal/sender"
	"github.com/chifflier/nfqueue-go/internal/slowcall"
	"github.com/chifflier/nfqueue-go/internal/transport"
)

// Queue is a bound queue. Packets wait until Serve runs. All methods are safe for
// concurrent use.
type Queue struct {
	cfg     Config
	conn    transport.Conn
	life    lifecycle.Lifecycle
	rx      receiver // owned by the reader, see lifecycle
	out     *sender.Sender
	held    heldSet
	replies nfqmsg.Replies
	links   transport.Links
	stats   counters
	log     sender.Log
	loss    losslog.Watch
	slow    slowcall.Watch
	times   latency.Times
	rounds  roundwatch.Watch
	flags   atomic.Uint32 // Flags that are on, as far as is known
}

// Run opens the queue of cfg and calls h for each of its packets until ctx ends.
// It then drains the queue as Serve does, closes it and returns nil. If h panics or the queue
// fails, the packets that wait get the Fallback, and Run returns the error. They also get it if
// h ends its goroutine with runtime.Goexit, but then Run cannot return.
func Run(ctx context.Context, cfg Config, h Handler) error {
	q, err := Open(cfg)
	if err != nil {
		return err
	}
	defer q.Close()
	q.serveToEnd(ctx, []Handler{h}, &err)
	return err
}

// Open binds and configures a queue with one message. From then on packets wait in the queue; they
// are lost if it is closed without Serve or Shutdown. The kernel applies the message in steps
// (nfqnl_recv_config): it drops what another processor queues between bind and configuration, also
// with bypass, some nanoseconds. If even that is too much, open the queue before the rule is
// installed, as rules.Run does.
//
// The kernel requires CAP_NET_ADMIN in the user namespace that owns the network namespace, here
// and again with every verdict. The error matches ErrQueueInUse, fs.ErrPermission or
// errors.ErrUnsupported where that is the cause. Open does not bind protocol families, as old
// libraries do: the kernel has ignored that since Linux 3.8.
func Open(cfg Config) (*Queue, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, &OpError{Op: "open", Queue: cfg.Queue, Err: err}
	}
	conn, err := dial(cfg.NetNS, cfg.BusyPoll)
	if err != nil {
		return nil, &OpError{Op: "open", Queue: cfg.Queue, Err: err}
	}
	return openOver(conn, cfg)
}

// openOver opens a queue over a connection, which it closes if that fails. cfg has
// its defaults.
func openOver(conn transport.Conn, cfg Config) (*Queue, error) {
	q := newQueue(conn, cfg)
	granted, err := q.conn.SetReadBuffer(cfg.ReadBuffer)
	if err != nil {
		err = fmt.Errorf("size the receive buffer: %w", err)
	} else {
		err = q.bind()
	}
	if err != nil {
		q.Close()
		return nil, q.opError("open", err)
	}
	q.warnReadBuffer(granted)
	return q, nil
}

func newQueue(conn transport.Conn, cfg Config) *Queue {
	q := &Queue{cfg: cfg, conn: conn}
	q.life.Init()
	q.rx = receiver{q: q, slab: transport.NewSlab(cfg.Batch, slotSize(cfg))}
	q.log.To = cfg.Logger.With("queue", cfg.Queue)
	q.links.Conn = conn
	q.replies.Init(rand.Uint32())
	q.held.Init(func(h *Held) { h.expire(&q.stats.fallbackExpired) }, func() { q.out.Kick() })
	q.loss.Init(q.log.To, q.lossTotals)
	q.slow.Init(cfg.SlowHandler)
	q.times.Init(cfg.Histograms)
	q.rounds.Init()
	q.flags.Store(uint32(cfg.Flags))
	q.out = sender.New(sender.Config{
		Conn: conn, Queue: cfg.Queue, FlushAfter: cfg.FlushAfter,
		Fallback: uint32(cfg.Fallback), Log: &q.log,
	})
	return q
}

func (q *Queue) opError(op string, err error) error {
	return &OpError{Op: op, Queue: q.cfg.Queue, Err: err}
}

// warnReadBuffer says so if less was granted than MaxLen full-size frames need.
func (q *Queue) warnReadBuffer(granted int) {
	if granted < min(q.cfg.ReadBuffer, framesBuffer(q.cfg)) {
		q.log.Warn(sender.KindBuffer,
			"nfqueue: the receive buffer is too small for Config.MaxLen packets; some will be lost in "+
				"bursts. Raise net.core.rmem_max to the value given, or lower Config.MaxLen",
			"granted", granted, "wanted", q.cfg.ReadBuffer, "net.core.rmem_max", (q.cfg.ReadBuffer+1)/2)
	}
}

// Number returns the number of the queue.
func (q *Queue) Number() uint16 { return q.cfg.Queue }

// Close ends the use of the queue at once. The kernel drops the packets that have no verdict;
// Shutdown avoids that. After File, packets that were received here and have no verdict wait
// instead, and take room in the queue, until the other process closes it too; Release avoids
// that. A running Serve returns ErrClosed once its handler returns. The handler may call Close,
// and Close may be called more than once.
func (q *Queue) Close() error {
	if k, err := q.kernelQueue(); err == nil {
		q.stats.kernel.Store(&k) // for later Stats
	}
	if !q.life.Close() {
		return nil
	}
	err := q.conn.Close()
	q.out.Close()
	q.held.Stop()
	for _, h := range q.held.Owners() {
		h.abandon()
	}
	q.loss.Stop()
	q.slow.Stop()
	q.abandonStash()
	if err != nil {
		return q.opError("close", err)
	}
	return nil
}

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// wake makes a waiting Recv return.
func (q *Queue) wake() { _ = q.conn.SetReadDeadline(longAgo) }

// link returns an interface. A packet without a queue has none.
func (q *Queue) link(index int) transport.Link {
	if q == nil || index == 0 {
		return transport.Link{}
	}
	return q.links.Get(uint32(index))
}
