// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueuetest

import "github.com/chifflier/nfqueue-go/internal/fakekernel"

// socketLocked returns the socket that faults of a queue concern. The lock is held.
func (k *Kernel) socketLocked(queue uint16) *socket {
	s := k.sockets[queue]
	if s == nil || s.Closed() {
		s = &socket{Conn: k.fake.Dial()}
		k.sockets[queue] = s
	}
	return s
}

func (k *Kernel) socket(queue uint16) *fakekernel.Conn {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.socketLocked(queue).Conn
}

// FailSend makes the next datagram that the queue sends fail with err, such as
// syscall.ENOBUFS. The kernel does not see it.
func (k *Kernel) FailSend(queue uint16, err error) { k.socket(queue).FailSend(err) }

// FailReceive makes the next attempt of the queue to receive fail with err.
func (k *Kernel) FailReceive(queue uint16, err error) { k.socket(queue).FailRecv(err) }

// RefuseVerdict makes the kernel answer the next verdict of the queue with a Linux error
// number, and leave the packet where it is. With EPERM it does so with all verdicts that
// come together, as Linux does for want of CAP_NET_ADMIN.
func (k *Kernel) RefuseVerdict(queue uint16, errno int32) { k.socket(queue).RefuseVerdict(errno) }

// LoseReply makes the next reply to the queue get lost, as it does when the receive
// buffer is full. Replies acknowledge changes of the configuration and report errors
// of verdicts.
func (k *Kernel) LoseReply(queue uint16) { k.socket(queue).LoseReply() }

// Overrun makes the next n packets for the queue find the receive buffer full: they are
// dropped, or pass with FailOpen, and their ids are missing from what the queue sees.
func (k *Kernel) Overrun(queue uint16, n int) { k.socket(queue).Overrun(n) }

// Truncate cuts the message by which the queue is told of the next packet after n
// bytes.
func (k *Kernel) Truncate(queue uint16, n int) { k.socket(queue).Truncate(n) }

// Deliver makes the queue receive a datagram with any content.
func (k *Kernel) Deliver(queue uint16, datagram []byte) { k.socket(queue).Deliver(datagram) }
