// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/chifflier/nfqueue-go/internal/diagnose"
	"github.com/chifflier/nfqueue-go/internal/kernel"
	"github.com/chifflier/nfqueue-go/internal/lifecycle"
	"github.com/chifflier/nfqueue-go/internal/nfqmsg"
	"github.com/chifflier/nfqueue-go/internal/nlwire"
	"github.com/chifflier/nfqueue-go/internal/sender"
)

// SetMaxLen changes how many packets may wait for their verdict. Packets that already wait
// stay. As in Config, 0 is DefaultMaxLen, and with MaxLenNone the kernel queues none.
//
// Like the other changes, it takes effect while packets flow, and returns when the kernel has
// confirmed it. The goroutine that serves receives the confirmation, so a change fails with
// ErrInHandler when a handler or another callback of the queue makes it. If no confirmation was
// received in two seconds, because the receive buffer overflows or a handler takes that long,
// the error matches os.ErrDeadlineExceeded; the kernel may still have made the change. Once the
// queue has begun to end, by Shutdown, Release or the context of Serve, the error is ErrClosed.
//
// While another process receives from the queue too, between OpenFile there and Release here,
// that process may receive the confirmation: the change then fails with the same error although
// the kernel made it. Make changes before File or after Release.
func (q *Queue) SetMaxLen(n uint32) error {
	n = kernelMaxLen(n)
	return q.change("set maximum length", nfqmsg.Change{MaxLen: &n})
}

// SetFlags sets the flags in mask to their values in flags. It fails with errors.ErrUnsupported
// for a flag that the kernel does not have. See SetMaxLen for when a change takes effect, and when
// it fails.
func (q *Queue) SetFlags(mask, flags Flags) error {
	if (mask|flags)&^allFlags != 0 {
		return q.opError("set flags", fmt.Errorf("unknown bits: %v", mask|flags))
	}
	c := nfqmsg.Change{Mask: uint32(mask), Flags: flags.kernel() & uint32(mask)}
	err := q.change("set flags", c)
	if err == nil {
		q.flags.And(^uint32(mask))
		q.flags.Or(uint32(flags & mask))
	}
	return err
}

// SetCopy changes how much of each packet is copied. mode and length are as CopyMode and
// CopyRange in Config, but length cannot exceed the CopyRange of Config, for which the memory
// was made, and 0 means that range. A queue that was opened without CopyPacket has no room for
// payloads. See SetMaxLen for when a change takes effect, and when it fails.
func (q *Queue) SetCopy(mode CopyMode, length uint32) error {
	c, err := Config{CopyMode: mode, CopyRange: length}.withDefaults()
	if err != nil {
		return q.opError("set copy mode", err)
	}
	if c.CopyMode == CopyPacket && q.cfg.CopyRange == 0 {
		return q.opError("set copy mode", fmt.Errorf(
			"the queue was opened with %v, without room for payloads; open it with CopyPacket",
			q.cfg.CopyMode))
	}
	if length == 0 {
		c.CopyRange = min(c.CopyRange, q.cfg.CopyRange)
	}
	if c.CopyRange > q.cfg.CopyRange {
		return q.opError("set copy mode", fmt.Errorf(
			"%d bytes are more than the %d of Config.CopyRange", c.CopyRange, q.cfg.CopyRange))
	}
	return q.change("set copy mode", nfqmsg.Change{Copy: c.copy()})
}

// SetReadBuffer changes the size in bytes of the socket's receive buffer, in the kernel's
// count, and returns the size that the kernel granted. The handler may call it.
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
	if q.life.InHandler() {
		return q.opError(op, ErrInHandler)
	}
	err := q.configure(c)
	if c.Mask != 0 && diagnose.Unsupported(err) {
		err = fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	}
	if err != nil {
		return q.opError(op, err)
	}
	return nil
}

// kernelMaxLen is the maximum length that the kernel gets for one of Config or SetMaxLen.
func kernelMaxLen(n uint32) uint32 {
	switch n {
	case 0:
		return DefaultMaxLen
	case MaxLenNone:
		return 0
	}
	return n
}

// The kernel answers before the send call returns. A reply that has not arrived after
// replyTimeout was lost because the receive buffer was full, or waits there behind a handler.
const (
	replyTimeout   = 500 * time.Millisecond
	configAttempts = 4
)

// errNoReply is the cause when no attempt of a request had a reply in time. The kernel may still
// have made the change.
var errNoReply = fmt.Errorf(
	"no reply from the kernel was received; the receive buffer overflows, or a handler takes long: %w",
	os.ErrDeadlineExceeded)

// configure makes a change and waits for the kernel to confirm it. A request whose reply was
// lost is sent again: all changes can be made twice, but for binding.
func (q *Queue) configure(c nfqmsg.Change) error {
	for range configAttempts {
		errno, err := q.request(c)
		if err == nil {
			return kernel.Error(errno)
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		if c.Cmd == nfqmsg.CmdBind {
			c.Cmd = 0
		}
	}
	return errNoReply
}

// request sends a change and returns the error number of the reply. While there is no reader
// it becomes that itself, and stashes the packets that come along.
func (q *Queue) request(c nfqmsg.Change) (errno int32, err error) {
	seq, reply := q.replies.Expect()
	defer q.replies.Cancel(seq)
	if err := q.send(seq, false, c); err != nil {
		return 0, err
	}
	deadline := time.Now().Add(replyTimeout)
	timeout := time.NewTimer(replyTimeout)
	defer timeout.Stop()
	for {
		// Looked for first each time: select does not prefer what has come.
		select {
		case errno := <-reply:
			return errno, nil
		default:
		}
		if !time.Now().Before(deadline) {
			return 0, os.ErrDeadlineExceeded
		}
		select {
		case errno := <-reply:
			return errno, nil
		case <-q.life.Done():
			return 0, ErrClosed
		case <-timeout.C:
		case q.life.Reader() <- struct{}{}:
			q.life.BecameReader()
			if err := q.awaitReply(reply, deadline); err != nil {
				return 0, err
			}
		}
	}
}

// send sends changes in one datagram, again if the kernel has no memory for it at the moment.
// The reply, to the last of them, carries seq: if the kernel refuses one, it refuses all. last
// says that they are those of finish, after which there are no others.
func (q *Queue) send(seq uint32, last bool, changes ...nfqmsg.Change) (err error) {
	var msg []byte
	for i, c := range changes {
		if i < len(changes)-1 {
			msg = c.AppendTo(msg, q.cfg.Queue, 0)
		} else {
			msg = c.AppendTo(msg, q.cfg.Queue, seq)
		}
	}
	for i := range sender.Attempts {
		err = q.out.Exclusive(func() error {
			if !last && (q.life.Is(lifecycle.Ending) || q.life.IsClosed()) {
				return ErrClosed
			}
			return q.conn.Send([][]byte{msg})
		})
		if err == nil || !sender.Transient(err) {
			break
		}
		time.Sleep(sender.Pause << i)
	}
	return err
}

// awaitReply receives once, unless the reply has come. The caller has become the reader, and
// is no longer when awaitReply returns, even if OnRefused panics.
func (q *Queue) awaitReply(reply chan int32, deadline time.Time) error {
	defer q.stopReading()
	if len(reply) > 0 {
		return nil
	}
	return q.receiveReplies(deadline)
}

// receiveReplies receives one batch, delivers the replies and stashes the rest. The caller is
// the reader.
func (q *Queue) receiveReplies(deadline time.Time) error {
	r := &q.rx
	r.stashRest()
	if err := q.conn.SetReadDeadline(deadline); err != nil {
		return err
	}
	err := r.receive()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = nil // the caller finds out whether the deadline was its own
	}
	if err == nil {
		err = q.conn.SetReadDeadline(time.Time{})
	}
	for r.cur < r.n {
		i := r.cur
		r.cur++ // first, so that a reply whose OnRefused panics is not delivered again
		d := r.slab.Datagram(i)
		if b := r.slab.Slot(i)[:d.Len]; isReply(b) {
			q.reply(b)
		} else {
			r.stashOne(b, *d)
		}
	}
	return err
}

func isReply(b []byte) bool {
	hdr, ok := nlwire.ParseHeader(b)
	return ok && hdr.Type == nlwire.TypeError && len(b) >= nlwire.HeaderLen
}

// bind binds and configures the queue with one message.
func (q *Queue) bind() error {
	maxLen := kernelMaxLen(q.cfg.MaxLen)
	flags := q.cfg.Flags.kernel()
	err := q.configure(nfqmsg.Change{
		Cmd:    nfqmsg.CmdBind,
		Copy:   q.cfg.copy(),
		MaxLen: &maxLen,
		Mask:   flags,
		Flags:  flags,
	})
	if err == nil {
		return nil
	}
	return diagnose.Bind(err, flags, q.configure, func() (portID uint32, ok bool) {
		k, err := q.kernelQueue()
		return k.PortID, err == nil
	})
}
