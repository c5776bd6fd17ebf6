// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/chifflier/nfqueue-go/internal/mmsg"
	"github.com/chifflier/nfqueue-go/internal/transport"
	"golang.org/x/sys/unix"
)

// linuxConn is a netlink socket on the runtime's poller, so that waiting takes no
// thread and ends with a deadline or Close.
type linuxConn struct {
	file *os.File
	raw  syscall.RawConn
	proc *os.File // the queue table of the socket's network namespace, nil if it cannot be read
	perr error    // why
	max  int

	closed atomic.Bool

	slab *transport.Slab
	rx   *mmsg.Receiver
	tx   *mmsg.Sender

	// The closures that RawConn calls and what they exchange with Recv and Send:
	// made once, so that a call allocates nothing.
	recv, send       func(fd uintptr) bool
	recvN            int
	recvErr, sendErr error
	pieces           [][]byte
}

// dial opens a socket in the network namespace that netns refers to, in the
// current one if it is 0.
func dial(netns int) (transport.Conn, error) {
	var c *linuxConn
	err := inNetNS(netns, func() error {
		fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_NETFILTER)
		if errors.Is(err, unix.EPROTONOSUPPORT) {
			return fmt.Errorf("this kernel has no netfilter netlink (CONFIG_NETFILTER_NETLINK): %w: %w", errors.ErrUnsupported, err)
		} else if err != nil {
			return fmt.Errorf("netlink socket: %w", err)
		}
		if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
			unix.Close(fd)
			return fmt.Errorf("bind netlink socket: %w", err)
		}
		c, err = newLinuxConn(fd)
		return err
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// adopt makes a connection of a socket that another process, or another Queue, has
// bound. f stays the caller's.
func adopt(f *os.File, netns int) (transport.Conn, error) {
	var c *linuxConn
	err := inNetNS(netns, func() error {
		fd, err := duplicate(f)
		if err != nil {
			return fmt.Errorf("socket of %s: %w", f.Name(), err)
		}
		c, err = newLinuxConn(fd)
		return err
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// duplicate returns another descriptor, non-blocking, of a netfilter socket.
func duplicate(f *os.File) (fd int, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd = -1
	cerr := raw.Control(func(old uintptr) {
		var domain, protocol int
		if domain, err = unix.GetsockoptInt(int(old), unix.SOL_SOCKET, unix.SO_DOMAIN); err != nil {
			return
		}
		if protocol, err = unix.GetsockoptInt(int(old), unix.SOL_SOCKET, unix.SO_PROTOCOL); err != nil {
			return
		}
		if domain != unix.AF_NETLINK || protocol != unix.NETLINK_NETFILTER {
			err = errors.New("not a netfilter netlink socket")
			return
		}
		if fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0); err == nil {
			err = unix.SetNonblock(fd, true)
		}
	})
	if err = errors.Join(cerr, err); err != nil && fd >= 0 {
		unix.Close(fd)
	}
	return fd, err
}

// newLinuxConn takes over a bound, non-blocking socket.
func newLinuxConn(fd int) (*linuxConn, error) {
	fail := func(what string, err error) (*linuxConn, error) {
		unix.Close(fd)
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	// The kernel then lets no other process send to the socket.
	if err := unix.Connect(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fail("connect netlink socket to the kernel", err)
	}
	// Without it one overrun makes the kernel drop every packet until the whole
	// buffer has been read.
	if err := unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_NO_ENOBUFS, 1); err != nil {
		return fail("NETLINK_NO_ENOBUFS", err)
	}
	// An error then does not echo the payload of the verdict it answers.
	if err := unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1); err != nil {
		return fail("NETLINK_CAP_ACK", err)
	}
	raiseSendBuffer(fd)
	sndbuf, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF)
	if err != nil {
		return fail("SO_SNDBUF", err)
	}
	c := &linuxConn{file: os.NewFile(uintptr(fd), "nfqueue"), max: sndbuf - sendOverhead, tx: mmsg.NewSender()}
	if c.raw, err = c.file.SyscallConn(); err != nil {
		c.file.Close()
		return nil, err
	}
	c.recv, c.send = c.tryRecv, c.trySend
	c.proc, c.perr = os.Open("/proc/thread-self/net/netfilter/nfnetlink_queue")
	return c, nil
}

const (
	// sendOverhead is what netlink_sendmsg keeps of SO_SNDBUF.
	sendOverhead = 32
	// sendBuffer holds a receive batch of full-size frames that all go back altered.
	sendBuffer = 512 << 10
)

// raiseSendBuffer makes room for verdicts with payloads; the default holds three
// of the largest, which is enough to work with.
func raiseSendBuffer(fd int) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, sendBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer)
	}
}

func (c *linuxConn) tryRecv(fd uintptr) bool {
	c.recvN, c.recvErr = c.rx.Recv(fd)
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
	for i := range c.recvN {
		d := s.Datagram(i)
		d.Len, d.Truncated = c.rx.Datagram(i)
	}
	return c.recvN, nil
}

// trySend never asks to wait: the kernel acts on what it is sent at once, and no event
// would follow an EAGAIN.
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

// socketError gives the errors of os.File the names that a socket's user expects. Those
// of its RawConn have no name of their own.
func (c *linuxConn) socketError(err error) error {
	if err != nil && c.closed.Load() || errors.Is(err, os.ErrClosed) {
		return net.ErrClosed
	}
	return err
}

func (c *linuxConn) SetReadDeadline(t time.Time) error {
	return c.socketError(c.file.SetReadDeadline(t))
}

func (c *linuxConn) SetReadBuffer(n int) (granted int, err error) {
	cerr := c.raw.Control(func(fd uintptr) {
		// The kernel doubles what it is asked for, to make room for its overhead.
		if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, n/2) != nil {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, n/2)
		}
		if err == nil {
			granted, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF)
		}
	})
	return granted, errors.Join(c.socketError(cerr), err)
}

func (c *linuxConn) ReadBuffer() (size, used int, err error) {
	cerr := c.raw.Control(func(fd uintptr) {
		size, used, err = mmsg.ReceiveMemory(fd)
	})
	return size, used, errors.Join(c.socketError(cerr), err)
}

func (c *linuxConn) MaxSend() int { return c.max }

func (c *linuxConn) LinkName(index uint32) (name string, err error) {
	cerr := c.raw.Control(func(fd uintptr) {
		var ifr *unix.Ifreq
		if ifr, err = unix.NewIfreq(""); err != nil {
			return
		}
		ifr.SetUint32(index)
		if err = unix.IoctlIfreq(int(fd), unix.SIOCGIFNAME, ifr); err == nil {
			name = ifr.Name()
		}
	})
	return name, errors.Join(c.socketError(cerr), err)
}

func (c *linuxConn) ProcTable() ([]byte, error) {
	if c.proc == nil {
		return nil, c.perr
	}
	var table []byte
	for {
		b := make([]byte, 4096)
		n, err := c.proc.ReadAt(b, int64(len(table)))
		table = append(table, b[:n]...)
		if err == io.EOF {
			return table, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func (c *linuxConn) File() (f *os.File, err error) {
	cerr := c.raw.Control(func(fd uintptr) {
		var dup int
		if dup, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0); err == nil {
			f = os.NewFile(uintptr(dup), "nfqueue")
		}
	})
	return f, errors.Join(c.socketError(cerr), err)
}

func (c *linuxConn) Close() error {
	c.closed.Store(true)
	if c.proc != nil {
		c.proc.Close()
	}
	if err := c.file.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return net.ErrClosed
}

func readQueueTable() ([]byte, error) {
	return os.ReadFile("/proc/thread-self/net/netfilter/nfnetlink_queue")
}
