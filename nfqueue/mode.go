// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"fmt"

	"github.com/chifflier/nfqueue-go"
)

// SetMode sets how much of each packet is copied: NFQNL_COPY_PACKET, which is the default,
// NFQNL_COPY_META or NFQNL_COPY_NONE. It takes effect while packets flow. It must
// not be called from the callback: it waits for an answer of the kernel that only Loop
// receives, so that after two seconds, in which no packet is handled, it returns an error
// that wraps os.ErrDeadlineExceeded, though the mode has changed. nfqueue.Config.CopyMode
// and nfqueue.Queue.SetCopy, which it calls, take its place.
func (q *Queue) SetMode(mode uint8) error {
	queue, err := q.created()
	if err != nil {
		return err
	}
	var m nfqueue.CopyMode
	switch mode {
	case NFQNL_COPY_NONE:
		m = nfqueue.CopyNone
	case NFQNL_COPY_META:
		m = nfqueue.CopyMeta
	case NFQNL_COPY_PACKET:
		m = nfqueue.CopyPacket
	default:
		return runtimeError(fmt.Errorf("mode %d: it must be NFQNL_COPY_NONE, NFQNL_COPY_META or NFQNL_COPY_PACKET", mode))
	}
	return runtimeError(queue.SetCopy(m, 0))
}

// SetQueueMaxLen sets how many packets may wait for their verdict; the kernel drops more.
// It takes effect while packets flow. Like SetMode it must not be called from the
// callback. nfqueue.Config.MaxLen takes its place, and sizes the socket's receive buffer
// to fit, or nfqueue.Queue.SetMaxLen, which it calls.
func (q *Queue) SetQueueMaxLen(maxlen uint32) error {
	queue, err := q.created()
	if err != nil {
		return err
	}
	return runtimeError(queue.SetMaxLen(maxlen))
}
