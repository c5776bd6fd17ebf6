// SPDX-License-Identifier: GPL-2.0-or-later

// Package transport is the only seam between the dispatcher and a kernel: netlink datagrams in,
// netlink datagrams out. The real kernel is behind a socket; the kernel of package nfqueuetest is
// in memory.
package transport

import (
	"os"
	"time"
)

// Conn is a netlink socket of the netfilter protocol. Recv is called by one
// goroutine at a time, Send by one at a time; the other methods may be called
// concurrently with both.
type Conn interface {
	// Recv waits for datagrams. It receives those that are there, at most one for each slot of s, into
	// the first slots, and sets their lengths. It returns their number, which is at least 1 unless
	// there is an error: net.ErrClosed, os.ErrDeadlineExceeded, or an error of the socket, after which
	// Recv may be called again.
	Recv(s *Slab) (int, error)
	// Send sends one datagram, which consists of the pieces in order. The kernel has acted on all of
	// it when Send returns. The caller keeps the pieces.
	Send(pieces [][]byte) error
	// SetReadDeadline makes the current and every later Recv fail with os.ErrDeadlineExceeded from t
	// on. The zero time is no deadline.
	SetReadDeadline(t time.Time) error
	// SetReadBuffer asks for a receive buffer of n bytes, as the kernel counts them, and returns its
	// size afterwards.
	SetReadBuffer(n int) (granted int, err error)
	// ReadBuffer returns the size of the receive buffer, and how many bytes of it are used.
	ReadBuffer() (size, used int, err error)
	// BusyPolled returns how long Recv has polled for packets so far.
	BusyPolled() time.Duration
	// MaxSend returns the size in bytes of the largest datagram for Send.
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
	// Close closes the socket. The current Recv returns net.ErrClosed. The kernel drops the packets
	// that are still queued.
	Close() error
}
