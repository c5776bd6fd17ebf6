// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/chifflier/nfqueue-go/internal/kernel"
	"github.com/chifflier/nfqueue-go/internal/netns"
	"github.com/chifflier/nfqueue-go/internal/sender"
	"github.com/chifflier/nfqueue-go/internal/transport"
	"github.com/chifflier/nfqueue-go/internal/transport/mmsg"
	"github.com/mdlayher/netlink"
	"github.com/mdlayher/socket"
	"golang.org/x/sys/unix"
)

// linuxConn is a netlink socket on the runtime's poller, so that a waiting queue holds no thread
// and a deadline or Close ends the wait.
type linuxConn struct {
	socket  netlinkSocket
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

// netlinkSocket is a *netlink.Conn if this process has opened the socket, and a *socket.Conn if it
// has adopted it.
type netlinkSocket interface {
	SyscallConn() (syscall.RawConn, error)
	SetReadDeadline(t time.Time) error
	SetReadBuffer(bytes int) error
	ReadBuffer() (int, error)
	WriteBuffer() (int, error)
	Close() error
}

// sendBuffer holds the verdicts of a receive batch of full-size frames that are all altered.
const sendBuffer = 512 << 10

// dial opens a socket in the network namespace of a descriptor, or in the current one if ns is 0.
// It polls for up to poll before each wait.
func dial(ns int, poll time.Duration) (transport.Conn, error) {
	s, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: ns})
	if errors.Is(err, unix.EPROTONOSUPPORT) {
		return nil, fmt.Errorf("this kernel has no netfilter netlink (CONFIG_NETFILTER_NETLINK): %w: %w",
			errors.ErrUnsupported, err)
	} else if err != nil {
		return nil, fmt.Errorf("open a netlink socket%s: %w", inNamespace(ns), err)
	}
	if err := prepare(s); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return newLinuxConn(s, ns, poll)
}

// inNamespace completes an error message.
func inNamespace(ns int) string {
	if ns == 0 {
		return ""
	}
	return fmt.Sprintf(" in the network namespace of descriptor %d (needs CAP_SYS_ADMIN)", ns)
}

// prepare sets the options of a new socket. A process that inherits the socket inherits them too.
func prepare(s *netlink.Conn) error {
	// Without it one overrun makes the kernel drop every packet until the whole buffer has been
	// read.
	if err := s.SetOption(netlink.NoENOBUFS, true); err != nil {
		return fmt.Errorf("NETLINK_NO_ENOBUFS: %w", err)
	}
	// Without it an error message repeats the payload of the verdict that it answers.
	if err := s.SetOption(netlink.CapAcknowledge, true); err != nil {
		return fmt.Errorf("NETLINK_CAP_ACK: %w", err)
	}
	// If the kernel refuses, the default holds three of the largest verdicts, which is enough.
	_ = s.SetWriteBuffer(sendBuffer)
	// The kernel then lets no other process send to the socket.
	raw, err := s.SyscallConn()
	if err != nil {
		return err
	}
	cerr := raw.Control(func(fd uintptr) {
		err = unix.Connect(int(fd), &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	})
	if err = errors.Join(cerr, err); err != nil {
		return fmt.Errorf("connect the netlink socket to the kernel: %w", err)
	}
	return nil
}

// adopt makes a connection of a socket that another process, or another Queue, has opened with dial
// in the network namespace ns. f stays the caller's.
func adopt(f *os.File, ns int, poll time.Duration) (transport.Conn, error) {
	s, err := socket.FileConn(f, "nfqueue")
	if err != nil {
		return nil, fmt.Errorf("socket of %s: %w", f.Name(), err)
	}
	if err := checkNetfilter(s); err != nil {
		return nil, errors.Join(fmt.Errorf("socket of %s: %w", f.Name(), err), s.Close())
	}
	return newLinuxConn(s, ns, poll)
}

// checkNetfilter returns an error unless a socket is a netlink socket of the netfilter protocol.
func checkNetfilter(s *socket.Conn) error {
	domain, err := s.GetsockoptInt(unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil {
		return err
	}
	protocol, err := s.GetsockoptInt(unix.SOL_SOCKET, unix.SO_PROTOCOL)
	if err != nil {
		return err
	}
	if domain != unix.AF_NETLINK || protocol != unix.NETLINK_NETFILTER {
		return errors.New("not a netfilter netlink socket")
	}
	return nil
}

// newLinuxConn makes a connection of a prepared socket, which it closes if that fails.
func newLinuxConn(s netlinkSocket, ns int, poll time.Duration) (transport.Conn, error) {
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
	cerr := c.raw.Control(func(fd uintptr) {
		var ifr *unix.Ifreq
		if ifr, err = unix.NewIfreq(""); err != nil {
			return
		}
		ifr.SetUint32(index)
		if err = unix.IoctlIfreq(int(fd), unix.SIOCGIFNAME, ifr); err != nil {
			return
		}
		l.Name = ifr.Name()
		if err = unix.IoctlIfreq(int(fd), unix.SIOCGIFMTU, ifr); err == nil {
			l.MTU = int(ifr.Uint32())
		}
	})
	return l, errors.Join(c.socketError(cerr), err)
}

func (c *linuxConn) ProcTable() ([]byte, error) {
	if c.table == nil {
		return nil, c.noTable
	}
	var table []byte
	for {
		b := make([]byte, 4096)
		n, err := c.table.ReadAt(b, int64(len(table)))
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
	if c.closed.Swap(true) {
		return net.ErrClosed
	}
	if c.table != nil {
		c.table.Close()
	}
	return c.socket.Close()
}

func (c *linuxConn) CutsReplacedUDP() bool { return cutsReplacedUDP() }

// cutsReplacedUDP goes by the version, since an attempt can crash the kernel: before Linux 6.12,
// gso_make_checksum sums up what it has no length of. 5.10 dies of that, 6.1 makes invalid
// checksums.
var cutsReplacedUDP = sync.OnceValue(func() bool {
	ok, err := kernel.AtLeast(6, 12)
	return ok && err == nil
})

func readQueueTable() ([]byte, error) { return os.ReadFile(queueTable) }
