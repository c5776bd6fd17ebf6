// SPDX-License-Identifier: GPL-2.0-or-later

// Package mmsg receives many datagrams with one system call (recvmmsg(2)), and sends one datagram
// from many pieces (sendmsg(2)). It has all unsafe code of the module.
package mmsg

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// The system calls never block. They are raw: during an ordinary system call of some tens to
// hundreds of microseconds, as a batch takes, Go's scheduler gives the processor to another thread,
// and that handover costs as much as the call itself.

// mmsghdr is struct mmsghdr; Go pads it as C does on every word size.
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
}

// Receiver receives datagrams into slots laid out once. It is not safe for
// concurrent use.
type Receiver struct {
	hdrs []mmsghdr
	iovs []unix.Iovec
}

// NewReceiver makes a Receiver for n slots; slot returns the memory of each. Only Recv writes to
// that memory.
func NewReceiver(n int, slot func(int) []byte) *Receiver {
	r := &Receiver{hdrs: make([]mmsghdr, n), iovs: make([]unix.Iovec, n)}
	for i := range r.hdrs {
		r.SetSlot(i, slot(i))
		r.hdrs[i].hdr.Iov = &r.iovs[i]
		r.hdrs[i].hdr.SetIovlen(1)
	}
	return r
}

// SetSlot replaces the memory of slot i.
func (r *Receiver) SetSlot(i int, b []byte) {
	r.iovs[i].Base = &b[0]
	r.iovs[i].SetLen(len(b))
}

// Recv receives the datagrams that are there into the first slots. It does not wait.
func (r *Receiver) Recv(fd uintptr) (n int, err error) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, fd,
			uintptr(unsafe.Pointer(&r.hdrs[0])), uintptr(len(r.hdrs)), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// Datagram returns how many bytes Recv has put into slot i, and whether the datagram was longer.
func (r *Receiver) Datagram(i int) (n int, truncated bool) {
	h := &r.hdrs[i]
	return int(h.len), h.hdr.Flags&unix.MSG_TRUNC != 0
}

// Sender sends datagrams to the kernel. It is not safe for concurrent use.
type Sender struct {
	hdr  unix.Msghdr
	iovs []unix.Iovec
	to   unix.RawSockaddrNetlink
}

// NewSender makes a Sender.
func NewSender() *Sender {
	s := &Sender{to: unix.RawSockaddrNetlink{Family: unix.AF_NETLINK}}
	// If the address is given, the kernel checks the capability of the sender only, and not also that
	// of the process that opened the socket (netlink_sendmsg).
	s.hdr.Name = (*byte)(unsafe.Pointer(&s.to))
	s.hdr.Namelen = unix.SizeofSockaddrNetlink
	return s
}

// Send sends one datagram of several pieces. None of them may be empty.
func (s *Sender) Send(fd uintptr, pieces [][]byte) error {
	s.iovs = s.iovs[:0]
	for _, p := range pieces {
		iov := unix.Iovec{Base: &p[0]}
		iov.SetLen(len(p))
		s.iovs = append(s.iovs, iov)
	}
	s.hdr.Iov = &s.iovs[0]
	s.hdr.SetIovlen(len(s.iovs))
	defer clear(s.iovs)
	for {
		_, _, errno := unix.RawSyscall(
			unix.SYS_SENDMSG, fd, uintptr(unsafe.Pointer(&s.hdr)), unix.MSG_DONTWAIT,
		)
		switch errno {
		case 0:
			return nil
		case unix.EINTR:
		default:
			return errno
		}
	}
}
