// SPDX-License-Identifier: GPL-2.0-or-later

// Package transport is the one seam between the dispatcher and a kernel: netlink
// datagrams in, netlink datagrams out. The real kernel is behind a socket, the
// one of package nfqueuetest in memory.
package transport

import (
	"os"
	"time"
)

// Conn is a netlink socket of the netfilter protocol. Recv is called by one
// goroutine at a time, Send by one at a time; the other methods may be called
// concurrently with both.
type Conn interface {
	// Recv waits for datagrams and puts as many as are there, but no more than fit,
	// into the slots of s from the first one on, with their lengths. It returns
	// their number, at least 1 unless there is an error: net.ErrClosed,
	// os.ErrDeadlineExceeded, or what the socket says, after which it may be
	// called again.
	Recv(s *Slab) (int, error)
	// Send hands the kernel one datagram, made of the given pieces end to end. The
	// kernel has acted on all of it when Send returns. The pieces stay the caller's.
	Send(pieces [][]byte) error
	// SetReadDeadline makes a waiting and every later Recv fail with
	// os.ErrDeadlineExceeded from t on; the zero time means never.
	SetReadDeadline(t time.Time) error
	// SetReadBuffer asks for a receive buffer of n bytes, in the kernel's count, and
	// returns what was granted.
	SetReadBuffer(n int) (granted int, err error)
	// ReadBuffer returns the size of the receive buffer and how much of it is used.
	ReadBuffer() (size, used int, err error)
	// BusyPolled returns how long Recv has polled for packets so far.
	BusyPolled() time.Duration
	// MaxSend is the size of the largest datagram that Send can hand over.
	MaxSend() int
	// Link returns the network interface with the given index in the network namespace of
	// the socket.
	Link(index uint32) (Link, error)
	// ProcTable returns /proc/net/netfilter/nfnetlink_queue of the network
	// namespace of the socket.
	ProcTable() ([]byte, error)
	// CutsReplacedUDP reports whether the kernel can cut a UDP super-packet (UDP_SEGMENT)
	// correctly after its payload was replaced.
	CutsReplacedUDP() bool
	// File returns a duplicate of the socket that a child process can inherit.
	File() (*os.File, error)
	// Close ends the use of the socket. A waiting Recv returns net.ErrClosed. The
	// kernel drops what is still queued.
	Close() error
}
