// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/chifflier/nfqueue-go/internal/kernel"
	"github.com/chifflier/nfqueue-go/internal/nfqmsg"
	"github.com/chifflier/nfqueue-go/internal/nlwire"
	"github.com/chifflier/nfqueue-go/internal/sender"
)

// replies matches the kernel's answers with the requests that wait for them. They
// arrive among the packets, so whoever receives hands them in. While a queue is handed
// over that may be the other process: the numbers of the two begin anywhere, so that neither
// takes the answer to the other's request for its own.
type replies struct {
	mu      sync.Mutex
	seq     uint32 // of the last request
	waiting map[uint32]chan int32
}

func (r *replies) expect() (seq uint32, errno chan int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waiting == nil {
		r.waiting = make(map[uint32]chan int32)
	}
	if r.seq++; r.seq == 0 { // asks for no reply
		r.seq++
	}
	errno = make(chan int32, 1)
	r.waiting[r.seq] = errno
	return r.seq, errno
}

func (r *replies) deliver(seq uint32, errno int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.waiting[seq]; c != nil {
		c <- errno
		delete(r.waiting, seq)
	}
}

func (r *replies) forget(seq uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.waiting, seq)
}

// The kernel answers while it takes the message, so a reply that has not arrived after
// replyTimeout was lost because the receive buffer was full, or waits there behind a
// handler.
const (
	replyTimeout   = 500 * time.Millisecond
	configAttempts = 4
)

// errNoReply is the cause when no attempt of a request had a reply in time. The kernel
// may have done what was asked all the same.
var errNoReply = fmt.Errorf("no reply from the kernel was read; the receive buffer overflows, or a handler takes long: %w", os.ErrDeadlineExceeded)

// configure makes a change and waits for the kernel to confirm it. A request whose
// reply was lost is sent again: all changes can be made twice, but for binding.
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

// request sends a change and returns the error number of the reply. While nobody
// else receives it does so itself, and stashes the packets that come along.
func (q *Queue) request(c nfqmsg.Change) (errno int32, err error) {
	seq, reply := q.replies.expect()
	defer q.replies.forget(seq)
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
		case <-q.done:
			return 0, ErrClosed
		case <-timeout.C:
		case q.reader <- struct{}{}:
			if err := q.awaitReply(reply, deadline); err != nil {
				return 0, err
			}
		}
	}
}

// send sends changes in one datagram, again if the kernel has no memory for it at the
// moment. The reply, to the last of them, carries seq: if the kernel refuses one, it
// refuses all. end says that they are those of finish.
func (q *Queue) send(seq uint32, end bool, changes ...nfqmsg.Change) (err error) {
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
			if q.ending && !end {
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

// refuseChanges makes finish the last one who makes any. One that is being sent is
// before it, and overridden; one whose reply was lost is not sent again.
func (q *Queue) refuseChanges() {
	_ = q.out.Exclusive(func() error {
		q.ending = true
		return nil
	})
}

// awaitReply receives once, unless the reply has come. The caller has become the reader,
// which he is no more afterwards, even if OnRefused panics.
func (q *Queue) awaitReply(reply chan int32, deadline time.Time) error {
	defer q.releaseReader()
	if len(reply) > 0 {
		return nil
	}
	return q.receiveReplies(deadline)
}

// receiveReplies receives one batch, hands in the replies and stashes the rest. The
// caller is the reader.
func (q *Queue) receiveReplies(deadline time.Time) error {
	q.stashRest()
	if err := q.conn.SetReadDeadline(deadline); err != nil {
		return err
	}
	err := q.receive()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = nil // whether it was ours is the caller's to find out
	}
	if err == nil {
		err = q.conn.SetReadDeadline(time.Time{})
	}
	for q.cur < q.n {
		i := q.cur
		q.cur++ // first: what OnRefused panics of is not handed in again
		d := q.slab.Datagram(i)
		if b := q.slab.Slot(i)[:d.Len]; isReply(b) {
			q.reply(b)
		} else {
			q.stash = append(q.stash, stashed{append([]byte(nil), b...), d.Truncated})
		}
	}
	return err
}

func isReply(b []byte) bool {
	hdr, ok := nlwire.ParseHeader(b)
	return ok && hdr.Type == nlwire.TypeError && len(b) >= nlwire.HeaderLen
}
