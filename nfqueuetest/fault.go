// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueuetest

import (
	"github.com/chifflier/nfqueue-go/internal/fakekernel"
	"github.com/chifflier/nfqueue-go/internal/kernel"
)

// socketLocked returns the socket that faults of a queue concern. The caller holds the lock.
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

// RefuseVerdict makes the kernel answer the next verdict of the queue with an error, and leave the
// packet in the queue. err is fs.ErrPermission, fs.ErrNotExist, errors.ErrUnsupported, or a
// syscall.Errno such as syscall.ENOMEM, of any system; any other error ends the test. With
// fs.ErrPermission or EPERM the kernel refuses all verdicts of a datagram, as Linux does if
// CAP_NET_ADMIN is missing.
func (k *Kernel) RefuseVerdict(queue uint16, err error) {
	k.tb.Helper()
	errno, ok := kernel.Number(err)
	if !ok {
		k.tb.Fatalf(
			"nfqueuetest: RefuseVerdict: %v is no error of the kernel; "+
				"give fs.ErrPermission or a syscall.Errno, for example",
			err,
		)
	}
	k.socket(queue).RefuseVerdict(errno)
}

// LoseReply makes the kernel lose the next reply to the queue, as it does if the receive buffer is
// full. Replies acknowledge changes of the configuration and report errors of verdicts.
func (k *Kernel) LoseReply(queue uint16) { k.socket(queue).LoseReply() }

// Overrun makes the next n packets for the queue find the receive buffer full: they are dropped, or
// pass with FailOpen, and the queue never receives their ids.
func (k *Kernel) Overrun(queue uint16, n int) { k.socket(queue).Overrun(n) }

// Truncate cuts the message of the next packet after n bytes.
func (k *Kernel) Truncate(queue uint16, n int) { k.socket(queue).Truncate(n) }

// Deliver makes the queue receive a datagram with the given bytes.
func (k *Kernel) Deliver(queue uint16, datagram []byte) { k.socket(queue).Deliver(datagram) }
