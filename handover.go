// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"context"
	"os"
)

// File returns a duplicate of the queue's socket, for a process that takes the queue
// over: pass it in exec.Cmd.ExtraFiles, have the new process call OpenFile and Serve,
// and call Release when it does. The queue stays bound as long as any process has the
// socket open. The caller closes the file.
//
// From then on the queue may be another process's too, and whatever ends its use here leaves
// it as it is. Release does so without a loss. Shutdown, and the end of the context of
// Serve, have what waits decided here and leave what comes later to the other process: if
// that has failed, first call SetFlags, to say with FailOpen whether new packets are to
// pass, and SetMaxLen with 0, or those are lost. What Close leaves undecided nobody decides.
// It also stays without batch messages and Stats.Lost, see OpenFile.
func (q *Queue) File() (*os.File, error) {
	q.shared.Store(true)
	q.out.ForbidBatch()
	f, err := q.conn.File()
	if err != nil {
		return nil, q.opError("duplicate the socket", err)
	}
	q.handed.Store(true)
	return f, nil
}

// OpenFile takes over a queue with the socket that Queue.File returned in another
// process. cfg.Queue must be its number. The queue keeps the configuration that the
// kernel has for it; of cfg, CopyRange must be no less than it was, and MaxLen, Flags
// and ReadBuffer are not used. f stays the caller's and may be closed afterwards.
//
// Packets that the other process has read are its own to decide. Since nobody tells
// which these are, neither process sends batch messages any more, which costs about a
// fifth of the throughput with the smallest packets, and Stats.Lost no longer counts.
//
// SetMaxLen, SetFlags and SetCopy have to wait until the other process has called Release.
// If that is to go on after all, end with Release here too: Shutdown, and the end of the
// context of Serve, keep new packets out of the queue for both.
func OpenFile(f *os.File, cfg Config) (*Queue, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, &OpError{Op: "open", Queue: cfg.Queue, Err: err}
	}
	conn, err := adopt(f, cfg.NetNS)
	if err != nil {
		return nil, &OpError{Op: "open", Queue: cfg.Queue, Err: err}
	}
	q := newQueue(conn, cfg)
	q.shared.Store(true)
	q.out.ForbidBatch()
	q.loss.forget()
	return q, nil
}

// Release ends the use of the queue by this process and leaves it to another, which
// has the socket from File. It stops receiving, has a running Serve handle what was
// read, waits for deferred packets until ctx ends, and gives the Fallback to those left.
// Packets that nobody has read wait for the other process. Serve returns nil. Release
// must not be called from the handler.
func (q *Queue) Release(ctx context.Context) error { return q.end(&stop{ctx: ctx, release: true}) }
