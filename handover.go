// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"context"
	"errors"
	"os"

	"github.com/chifflier/nfqueue-go/internal/lifecycle"
)

// File returns a duplicate of the queue's socket, to hand the queue over to another process:
// pass it in exec.Cmd.ExtraFiles, have the new process call OpenFile and Serve, and call
// Release when it does. The queue stays bound as long as any process has the socket open. The
// caller closes the file.
//
// From then on another process may use the queue too, and every end of its use here leaves the
// queue bound and configured. Release does that without a loss. Shutdown, and the end of the
// context of Serve, decide the packets that wait now and leave later ones to the other process.
// If that process has failed, later packets are lost: to prevent that, first call SetFlags, to
// say with FailOpen whether new packets pass, and SetMaxLen with MaxLenNone. After Close, packets
// that were received here and have no verdict wait until the other process closes the queue. The
// queue sends no batch messages any more, and Stats.Lost no longer counts, see OpenFile.
//
// Once the queue has begun to end, by Shutdown or the context of Serve, File fails with
// ErrClosed: new packets are kept out of it already.
func (q *Queue) File() (*os.File, error) {
	f, err := q.conn.File()
	if err != nil {
		return nil, q.opError("duplicate the socket", err)
	}
	if !q.life.Share(lifecycle.HandedOver) {
		return nil, q.opError("duplicate the socket", errors.Join(ErrClosed, f.Close()))
	}
	q.out.ForbidBatch()
	return f, nil
}

// OpenFile opens a queue that another process hands over, with the socket that Queue.File
// returned there. cfg.Queue must be its number. The queue keeps the configuration that the
// kernel has for it: cfg.CopyRange must be no less than it was, and cfg.MaxLen, Flags and
// ReadBuffer are not used. f stays the caller's and may be closed afterwards.
//
// The other process decides the packets that it has received. This process cannot know which
// these are, so neither sends batch messages any more, which costs about a fifth of the
// throughput with the smallest packets, and Stats.Lost no longer counts.
//
// Before SetMaxLen, SetFlags and SetCopy, wait until the other process has called Release. If
// that process goes on instead, end with Release here too: Shutdown, and the end of the
// context of Serve, keep new packets out of the queue for both.
func OpenFile(f *os.File, cfg Config) (*Queue, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, &OpError{Op: "open", Queue: cfg.Queue, Err: err}
	}
	conn, err := adopt(f, cfg.NetNS, cfg.BusyPoll)
	if err != nil {
		return nil, &OpError{Op: "open", Queue: cfg.Queue, Err: err}
	}
	q := newQueue(conn, cfg)
	q.life.Share(lifecycle.Shared)
	q.out.ForbidBatch()
	q.loss.ResetBaseline()
	q.flags.Store(uint32(allFlags)) // not known here: assume that all are on
	return q, nil
}

// Release ends the use of the queue by this process and leaves it to another, which has the
// socket from File. It stops receiving, waits until a running Serve has decided the packets that
// were received, and waits for deferred packets until ctx ends; those left get the Fallback.
// Packets that were not received yet wait for the other process. Serve returns nil. Like
// Shutdown, Release fails with ErrInHandler when a handler calls it.
func (q *Queue) Release(ctx context.Context) error {
	return q.end(&lifecycle.Stop{Ctx: ctx, Release: true})
}
