// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"fmt"

	"github.com/chifflier/nfqueue-go"
)

// SetMode sets how much of each packet is copied: NFQNL_COPY_PACKET, which is the default,
// NFQNL_COPY_META or NFQNL_COPY_NONE. It may be called while packets flow, but not from the
// callback: only Loop can receive the kernel's answer, so it fails there with nfqueue.ErrInHandler.
// nfqueue.Config.CopyMode and nfqueue.Queue.SetCopy take its place.
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
		return runtimeError(
			fmt.Errorf("mode %d: it must be NFQNL_COPY_NONE, NFQNL_COPY_META or NFQNL_COPY_PACKET", mode),
		)
	}
	return runtimeError(queue.SetCopy(m, 0))
}

// SetQueueMaxLen sets how many packets may wait for their verdict. The kernel drops the packets
// beyond that. Like SetMode it may be called while packets flow, but not from the callback. With 0
// the kernel queues none. nfqueue.Config.MaxLen takes its place, which also sizes the socket's
// receive buffer, and nfqueue.Queue.SetMaxLen.
func (q *Queue) SetQueueMaxLen(maxlen uint32) error {
	queue, err := q.created()
	if err != nil {
		return err
	}
	switch maxlen {
	case 0:
		maxlen = nfqueue.MaxLenNone
	case nfqueue.MaxLenNone: // no limit; the kernel has one of its own
		maxlen--
	}
	return runtimeError(queue.SetMaxLen(maxlen))
}
