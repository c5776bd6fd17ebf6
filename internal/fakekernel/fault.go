// SPDX-License-Identifier: GPL-2.0-or-later

package fakekernel

import "github.com/chifflier/nfqueue-go/internal/kernel"

// faults are the failures that a test has ordered for a socket.
type faults struct {
	failSend  pending[error]
	failRecv  pending[error]
	refuse    pending[int32]
	truncate  pending[int]
	loseReply int
	overrun   int
}

// pending are values to be used one by one.
type pending[T any] []T

func (p *pending[T]) next() (v T, ok bool) {
	if len(*p) == 0 {
		return v, false
	}
	v, *p = (*p)[0], (*p)[1:]
	return v, true
}

// FailSend makes the next Send fail with err, without any other effect. Further calls are for the
// Sends after that.
func (c *Conn) FailSend(err error) {
	c.kernel.mu.Lock()
	defer c.kernel.mu.Unlock()
	c.failSend = append(c.failSend, err)
}

// FailRecv makes the current or next Recv fail with err. Further calls are for the Recvs after
// that.
func (c *Conn) FailRecv(err error) {
	c.kernel.mu.Lock()
	defer c.kernel.mu.Unlock()
	c.failRecv = append(c.failRecv, err)
	c.wake()
}

// RefuseVerdict makes the kernel answer the next VERDICT or VERDICT_BATCH with an error number,
// without any other effect. Further calls are for the messages after that. EPERM concerns a
// datagram of such messages: the kernel discards it as a whole and answers the first message.
func (c *Conn) RefuseVerdict(errno int32) {
	c.kernel.mu.Lock()
	defer c.kernel.mu.Unlock()
	c.refuse = append(c.refuse, errno)
}

// refusesDatagram reports whether the kernel refuses a datagram whose first message has the given
// type.
func (c *Conn) refusesDatagram(typ uint16) bool {
	if typ != subsystem<<8|msgVerdict && typ != subsystem<<8|msgVerdictBatch || len(c.refuse) == 0 ||
		c.refuse[0] != kernel.EPERM {
		return false
	}
	c.refuse.next()
	return true
}

// LoseReply makes the kernel lose the next reply, as it does if the receive buffer is full. The
// request has its effect. Further calls are for the replies after that.
func (c *Conn) LoseReply() {
	c.kernel.mu.Lock()
	defer c.kernel.mu.Unlock()
	c.loseReply++
}

// Overrun makes the next n packets of the socket's queues find the receive buffer
// full.
func (c *Conn) Overrun(n int) {
	c.kernel.mu.Lock()
	defer c.kernel.mu.Unlock()
	c.overrun += n
}

// Truncate cuts the message of the next packet after n bytes, as recvmsg(2) does if the buffer is
// too small. Further calls are for the packets after that.
func (c *Conn) Truncate(n int) {
	c.kernel.mu.Lock()
	defer c.kernel.mu.Unlock()
	c.truncate = append(c.truncate, n)
}

// Deliver puts a copy of a datagram with any content into the receive queue, even if that is full.
func (c *Conn) Deliver(b []byte) {
	c.kernel.mu.Lock()
	defer c.kernel.mu.Unlock()
	c.waiting = append(c.waiting, datagram{data: append([]byte(nil), b...)})
	c.wake()
}

// Steal gives a queue to another socket, as if a copy of the owner's socket had unbound it and the
// other socket had bound it. The packets that wait in it are dropped.
func (k *Kernel) Steal(number uint16, thief *Conn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if q := k.queues[number]; q != nil {
		k.unbind(q)
	}
	k.queues[number] = newQueue(number, thief, k.firstID)
}
