// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"context"
	"sync/atomic"
)

// limit ends the time in which handlers are called, when the queue is about to end. Every
// Serve has its own.
type limit struct {
	ctx    context.Context
	cancel context.CancelFunc
	passed atomic.Bool // ctx has ended, for those who ask before each packet
}

func newLimit() *limit {
	l := &limit{}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

func (l *limit) end() {
	l.passed.Store(true)
	l.cancel()
}

// by has l end when ctx does, until stop is called.
func (l *limit) by(ctx context.Context) (stop func() bool) {
	if ctx.Err() != nil {
		l.end() // now, not as soon as another goroutine gets to it
	}
	return context.AfterFunc(ctx, l.end)
}

// noHandler gives packets the Fallback that no handler is left for.
type noHandler struct{ q *Queue }

func (n noHandler) ServePacket(*Packet) Verdict {
	n.q.stats.fallbackShutdown.Add(1)
	return n.q.cfg.Fallback
}
