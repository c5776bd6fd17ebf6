// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"

	"github.com/chifflier/nfqueue-go/internal/diagnose"
	"github.com/chifflier/nfqueue-go/internal/lifecycle"
)

var (
	// ErrClosed means that the Queue is closed. It is net.ErrClosed.
	ErrClosed = net.ErrClosed
	// ErrQueueInUse means that another socket has bound the queue. The error that
	// wraps it names the netlink port id of the owner where it can be read.
	ErrQueueInUse = diagnose.ErrQueueInUse
	// ErrServing means that another goroutine serves the queue, or that the handler itself
	// called Serve.
	ErrServing = lifecycle.ErrServing
	// ErrInHandler means that a handler, or another callback of the queue, called a method
	// that waits for that callback to return. Call it from another goroutine.
	ErrInHandler = errors.New("called from the queue's own handler, for which it would wait; " +
		"call it from another goroutine")
	// ErrInvalidVerdict means that the kernel would refuse a verdict, or mistake it for
	// another.
	ErrInvalidVerdict = errors.New("invalid verdict")
	// ErrResolved means that a Held packet already has its verdict.
	ErrResolved = errors.New("packet already has its verdict")
	// ErrTruncated means that the payload of a packet cannot be replaced, because the kernel
	// copied only its beginning. The error that wraps it says what helps.
	ErrTruncated = errors.New("the packet was not copied whole")
)

// OpError is the error of an operation on a queue. Its Err is, or wraps, one of the sentinels of
// this package, a *PanicError, the error of a context, a kernel error number (syscall.Errno on
// Linux: errors.Is finds fs.ErrPermission, errors.ErrUnsupported and so on), the error of the
// socket, or a text that says what is wrong with an argument.
type OpError struct {
	// Op is what failed: "open", "serve", "resolve", "set payload" ...
	Op string
	// Queue is the number of the queue.
	Queue uint16
	// Err is the cause.
	Err error
}

// Error returns the operation, the queue and the cause.
func (e *OpError) Error() string {
	return "nfqueue: queue " + strconv.Itoa(int(e.Queue)) + ": " + e.Op + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *OpError) Unwrap() error { return e.Err }

// Timeout reports whether the cause is the end of a time limit.
func (e *OpError) Timeout() bool {
	var t interface{ Timeout() bool }
	return errors.Is(e.Err, os.ErrDeadlineExceeded) || errors.As(e.Err, &t) && t.Timeout()
}

// VerdictError reports verdicts that the kernel refused.
type VerdictError struct {
	// ID is the id of the packet, or of the last packet of a batch message.
	ID uint32
	// Verdicts is the number of refused verdicts. Without CAP_NET_ADMIN the kernel refuses a
	// whole datagram, and ID is that of its first message.
	Verdicts int
	// Err is the kernel's error number (syscall.Errno on Linux). fs.ErrNotExist means
	// that the kernel had already dropped the packets, fs.ErrPermission that the sending
	// thread had no CAP_NET_ADMIN.
	Err error
}

// Error returns the id, the number and the cause.
func (e *VerdictError) Error() string {
	return fmt.Sprintf("nfqueue: %d verdicts refused, packet %d: %v", e.Verdicts, e.ID, e.Err)
}

// Unwrap returns the cause.
func (e *VerdictError) Unwrap() error { return e.Err }
