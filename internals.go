// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"context"

	"github.com/chifflier/nfqueue-go/internal/bridge"
	"github.com/chifflier/nfqueue-go/internal/sender"
	"github.com/chifflier/nfqueue-go/internal/transport"
)

// Other packages of the module reach, through internal/bridge, what the API does not have.
func init() {
	bridge.OpenOver = func(conn transport.Conn, cfg any) (any, error) {
		c, err := cfg.(Config).withDefaults()
		if err != nil {
			return nil, &OpError{Op: "open", Queue: c.Queue, Err: err}
		}
		return openOver(conn, c)
	}
	bridge.AwaitServe = func(ctx context.Context, queue any) error {
		q := queue.(*Queue)
		select {
		case q.life.Reader() <- struct{}{}: // Serve has returned
			q.stopReading()
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	bridge.CheckVerdict = func(verdict uint32) error { return Verdict(verdict).check() }
	bridge.Message = func(packet any) []byte { return packet.(*Packet).msg }
	bridge.Warn = func(packet any, msg string, args ...any) {
		if q := packet.(*Packet).queue; q != nil {
			q.log.Warn(sender.KindTracker, msg, args...)
		}
	}
	bridge.ServeFor = func(ctx context.Context, queue, handler any) error {
		q, h := queue.(*Queue), handler.(Handler)
		return q.serve(ctx, q.inline(h), keepQueue)
	}
}
