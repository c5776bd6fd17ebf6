// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"errors"
	"fmt"

	"github.com/chifflier/nfqueue-go/internal/kernel"
	"github.com/chifflier/nfqueue-go/internal/nfqmsg"
)

// SetMaxLen changes how many packets may wait for their verdict. Packets that wait
// already stay. With 0 the kernel queues none: it drops them, or lets them pass with
// FailOpen.
//
// Like the other changes it takes effect while packets flow, returns when the kernel
// has confirmed it, and must not be called from the handler: the confirmation comes
// through the goroutine that would wait for it. If none has been read in two seconds,
// because the receive buffer overflows or a handler takes as long, the error matches
// os.ErrDeadlineExceeded, and the change may have been made all the same. Once the queue has
// begun to end, by Shutdown, Release or the context of Serve, it is refused with ErrClosed.
//
// While another process receives from the queue too, between OpenFile there and Release
// here, that may read the confirmation: the change then fails with the same error, though it was
// made. Make changes before File or after Release.
func (q *Queue) SetMaxLen(n uint32) error {
	return q.change("set maximum length", nfqmsg.Change{MaxLen: &n})
}

// SetFlags switches the flags in mask on or off, as they are in flags. A flag that the
// kernel does not support is refused with errors.ErrUnsupported. See SetMaxLen.
func (q *Queue) SetFlags(mask, flags Flags) error {
	if (mask|flags)&^allFlags != 0 {
		return q.opError("set flags", fmt.Errorf("unknown bits: %v", mask|flags))
	}
	return q.change("set flags", nfqmsg.Change{Mask: uint32(mask), Flags: uint32(flags)})
}

// SetCopy changes how much of each packet is copied. A range of 0 is MaxPayload, as in
// Config, but no more than the range for which the queue was opened: its receive
// slots are of that size. One that was opened without CopyPacket has no room for payloads.
// See SetMaxLen.
func (q *Queue) SetCopy(mode CopyMode, length uint32) error {
	c, err := Config{CopyMode: mode, CopyRange: length}.withDefaults()
	if err != nil {
		return q.opError("set copy mode", err)
	}
	if c.CopyMode == CopyPacket && q.cfg.CopyRange == 0 {
		return q.opError("set copy mode", fmt.Errorf("the queue was opened with %v, without room for payloads; open it with CopyPacket", q.cfg.CopyMode))
	}
	if length == 0 {
		c.CopyRange = min(c.CopyRange, q.cfg.CopyRange)
	}
	if c.CopyRange > q.cfg.CopyRange {
		return q.opError("set copy mode", fmt.Errorf("%d bytes are more than the %d of Config.CopyRange", c.CopyRange, q.cfg.CopyRange))
	}
	return q.change("set copy mode", nfqmsg.Change{Copy: c.copy()})
}

// SetReadBuffer changes the size in bytes of the socket's receive buffer, in the
// kernel's count, and returns what was granted. It may be called from the handler.
func (q *Queue) SetReadBuffer(n int) (granted int, err error) {
	if n <= 0 {
		return 0, q.opError("set receive buffer", fmt.Errorf("%d bytes; want more than 0", n))
	}
	if granted, err = q.conn.SetReadBuffer(n); err != nil {
		return 0, q.opError("set receive buffer", err)
	}
	return granted, nil
}

func (q *Queue) change(op string, c nfqmsg.Change) error {
	err := q.configure(c)
	if c.Mask != 0 && (errors.Is(err, kernel.Error(kernel.EOPNOTSUPP)) || errors.Is(err, kernel.Error(kernel.EINVAL))) {
		err = fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	}
	if err != nil {
		return q.opError(op, err)
	}
	return nil
}
