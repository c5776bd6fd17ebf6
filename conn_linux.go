// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/chifflier/nfqueue-go/internal/kernel"
	"github.com/chifflier/nfqueue-go/internal/netns"
	"github.com/chifflier/nfqueue-go/internal/sender"
	"github.com/chifflier/nfqueue-go/internal/transport"
	"github.com/chifflier/nfqueue-go/internal/transport/mmsg"
	"github.com/chifflier/nfqueue-go/internal/transport/nlsocket"
	"golang.org/x/sys/unix"
)

// linuxConn is a netlink socket on the runtime's poller, so that a waiting queue holds no thread
// and a deadline or Close ends the wait.
type linuxConn struct {
	socket  nlsocket.Socket
	raw     syscall.RawConn
	table   *os.File // /proc/net/netfilter/nfnetlink_queue of the socket's namespace, or nil
	noTable error    // why table is nil
	max     int      // bytes of the largest datagram

	closed atomic.Bool

	slab *transport.Slab
	rx   *mmsg.Receiver
	tx   *mmsg.Sender
	poll *transport.BusyPoll

	// Recv and Send exchange values with the closures that RawConn calls. The closures are made
	// once, so that a call allocates nothing.
	recv, send       func(fd uintptr) bool
	recvN            int
	recvErr, sendErr error
	pieces           [][]byte
}

// dial opens a socket in the network namespace of a descriptor, or in the current one if ns is 0.
// It polls for up to poll before each wait.
func dial(ns int, poll time.Duration) (transport.Conn, error) {
	s, err := nlsocket.Dial(ns)
	if err != nil {
		return nil, err
	}
	return newLinuxConn(s, ns, poll)
}

// adopt makes a connection of a socket that another process, or another Queue, has opened with dial
// in the network namespace ns. f stays the caller's.
func adopt(f *os.File, ns int, poll time.Duration) (transport.Conn, error) {
	s, err := nlsocket.Adopt(f)
	if err != nil {
		return nil, err
	}
	return newLinuxConn(s, ns, poll)
}

// newLinuxConn makes a connection of a prepared socket, which it closes if that fails.
func newLinuxConn(s nlsocket.Socket, ns int, poll time.Duration) (transport.Conn, error) {
	c := &linuxConn{socket: s, tx: mmsg.NewSender(), poll: transport.NewBusyPoll(poll, sender.Now)}
	c.recv, c.send = c.tryRecv, c.trySend
	sndbuf, err := s.WriteBuffer()
	if err == nil {
		c.raw, err = s.SyscallConn()
	}
	if err == nil {
		err = netns.DoFD(ns, func() error {
			c.table, c.noTable = os.Open(queueTable)
			return nil
		})
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	c.max = sndbuf - 32 // what netlink_sendmsg keeps
	return c, nil
}

// queueTable lists the queues of the calling thread's network namespace.
const queueTable = "/proc/thread-self/net/netfilter/nfnetlink_queue"

func (c *linuxConn) tryRecv(fd uintptr) bool {
	c.recvN, c.recvErr = c.rx.Recv(fd)
	if c.recvErr == unix.EAGAIN && c.poll.Wait() {
		for c.recvErr == unix.EAGAIN && c.poll.Again() {
			c.recvN, c.recvErr = c.rx.Recv(fd)
		}
		c.poll.Stop()
	}
	return c.recvErr != unix.EAGAIN
}

func (c *linuxConn) Recv(s *transport.Slab) (int, error) {
	if c.slab != s {
		c.slab, c.rx = s, mmsg.NewReceiver(s.Slots(), s.Slot)
	}
	for i := range s.Moved() {
		c.rx.SetSlot(i, s.Slot(i))
	}
	if err := c.raw.Read(c.recv); err != nil {
		return 0, c.socketError(err)
	}
	if c.recvErr != nil {
		return 0, fmt.Errorf("recvmmsg: %w", c.recvErr)
	}
	c.poll.Received()
	for i := range c.recvN {
		d := s.Datagram(i)
		d.Len, d.Truncated = c.rx.Datagram(i)
	}
	return c.recvN, nil
}

// trySend never asks to wait: the kernel acts on a datagram at once, and no event would follow an
// EAGAIN.
func (c *linuxConn) trySend(fd uintptr) bool {
	c.sendErr = c.tx.Send(fd, c.pieces)
	return true
}

func (c *linuxConn) Send(pieces [][]byte) error {
	c.pieces = pieces
	err := c.raw.Write(c.send)
	c.pieces = nil
	if err != nil {
		return c.socketError(err)
	}
	return c.sendErr
}

// socketError turns the errors of a closed socket into net.ErrClosed. Those of its RawConn match no
// exported error.
func (c *linuxConn) socketError(err error) error {
	if err != nil && c.closed.Load() || errors.Is(err, os.ErrClosed) {
		return net.ErrClosed
	}
	return err
}

func (c *linuxConn) SetReadDeadline(t time.Time) error {
	return c.socketError(c.socket.SetReadDeadline(t))
}

func (c *linuxConn) SetReadBuffer(n int) (granted int, err error) {
	// The kernel doubles the number, to make room for its own overhead.
	if err := c.socket.SetReadBuffer(n / 2); err != nil {
		return 0, c.socketError(err)
	}
	granted, err = c.socket.ReadBuffer()
	return granted, c.socketError(err)
}

func (c *linuxConn) ReadBuffer() (size, used int, err error) {
	cerr := c.raw.Control(func(fd uintptr) {
		size, used, err = mmsg.ReceiveMemory(fd)
	})
	return size, used, errors.Join(c.socketError(cerr), err)
}

func (c *linuxConn) BusyPolled() time.Duration { return c.poll.Spent() }

func (c *linuxConn) MaxSend() int { return c.max }

func (c *linuxConn) Link(index uint32) (l transport.Link, err error) {
	cerr := c.raw.Control(func(fd uintptr) { l, err = nlsocket.Link(fd, index) })
	return l, errors.Join(c.socketError(cerr), err)
}

func (c *linuxConn) ProcTable() ([]byte, error) {
	if c.table == nil {
		return nil, c.noTable
	}
	table := bytes.NewBuffer(make([]byte, 0, 4096))
	_, err := table.ReadFrom(io.NewSectionReader(c.table, 0, math.MaxInt64))
	return table.Bytes(), err
}

func (c *linuxConn) File() (f *os.File, err error) {
	cerr := c.raw.Control(func(fd uintptr) { f, err = nlsocket.Duplicate(fd) })
	return f, errors.Join(c.socketError(cerr), err)
}

func (c *linuxConn) Close() error {
	if c.closed.Swap(true) {
		return net.ErrClosed
	}
	if c.table != nil {
		c.table.Close()
	}
	return c.socket.Close()
}

func (c *linuxConn) CutsReplacedUDP() bool { return kernel.CutsReplacedUDP() }

func readQueueTable() ([]byte, error) { return os.ReadFile(queueTable) }
