// SPDX-License-Identifier: GPL-2.0-or-later

package rules

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/chifflier/nfqueue-go/internal/kernel"
	"github.com/chifflier/nfqueue-go/internal/nlwire"
	"github.com/mdlayher/netlink"
	mdsocket "github.com/mdlayher/socket"
	"golang.org/x/sys/unix"
)

// socket talks to nf_tables and owns the tables that it makes.
type socket struct{ conn netlinkConn }

// netlinkConn is a netlink.Conn, or a socket.Conn around an inherited descriptor.
type netlinkConn interface {
	SyscallConn() (syscall.RawConn, error)
	SetWriteBuffer(bytes int) error
	Close() error
}

func dial(netNS int) (*socket, error) {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: netNS})
	if errors.Is(err, unix.EPROTONOSUPPORT) {
		return nil, fmt.Errorf("the kernel has no netfilter netlink; load nf_tables, or build "+
			"it in (%w): %w", errors.ErrUnsupported, err)
	}
	if err != nil {
		return nil, fmt.Errorf("netfilter netlink socket: %w", err)
	}
	for _, o := range []netlink.ConnOption{netlink.CapAcknowledge, netlink.ExtendedAcknowledge} {
		if err := conn.SetOption(o, true); err != nil {
			return nil, errors.Join(fmt.Errorf("netfilter netlink socket: %w", err), conn.Close())
		}
	}
	return &socket{conn}, nil
}

// adopt makes a socket of a descriptor, which stays the caller's.
func adopt(f *os.File) (*socket, error) {
	conn, err := mdsocket.FileConn(f, "nf_tables")
	if err != nil {
		return nil, err
	}
	protocol, err := conn.GetsockoptInt(unix.SOL_SOCKET, unix.SO_PROTOCOL)
	if err == nil && protocol != unix.NETLINK_NETFILTER {
		err = errors.New("not a netfilter netlink socket")
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &socket{conn}, nil
}

// file returns a duplicate of the descriptor.
func (s *socket) file() (*os.File, error) {
	var fd int
	err := s.control(func(own uintptr) (err error) {
		fd, err = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "nf_tables"), nil
}

// portID returns the netlink port id, by which the kernel knows the owner of a table.
func (s *socket) portID() (id uint32, err error) {
	err = s.control(func(fd uintptr) error {
		address, err := unix.Getsockname(int(fd))
		if a, ok := address.(*unix.SockaddrNetlink); ok {
			id = a.Pid
		}
		return err
	})
	return id, err
}

func (s *socket) control(do func(fd uintptr) error) error {
	raw, err := s.conn.SyscallConn()
	if err != nil {
		return err
	}
	var doErr error
	return errors.Join(raw.Control(func(fd uintptr) { doErr = do(fd) }), doErr)
}

func (s *socket) close() error { return s.conn.Close() }

// reply is an error that answers a message.
type reply struct {
	message int // index in the batch
	errno   int32
	text    string // of the kernel, often empty
	offset  uint32 // of the attribute concerned from the start of the message, 0 if unknown
}

// commit does a transaction. It returns what the kernel refuses, in the order of the
// batch; nothing is done then.
func (s *socket) commit(b *batch) ([]reply, error) {
	data, last := b.finish(), len(b.about)-2
	if err := s.send(data); err != nil {
		return nil, err
	}
	// The kernel has worked off the batch, so all replies are there.
	var refused []reply
	var acknowledged bool
	for {
		r, err := s.receive()
		switch {
		case errors.Is(err, unix.EAGAIN):
			if len(refused) == 0 && !acknowledged {
				return nil, errors.New("nf_tables did not acknowledge the transaction")
			}
			return refused, nil
		case errors.Is(err, unix.ENOBUFS):
			continue // there were more replies than the socket holds
		case err != nil:
			return nil, fmt.Errorf("netfilter netlink reply: %w", err)
		case r.message >= len(b.about):
			return nil, fmt.Errorf("netfilter netlink reply to message %d of %d", r.message,
				len(b.about))
		case r.errno != 0:
			refused = append(refused, r)
		default:
			acknowledged = acknowledged || r.message == last
		}
	}
}

// barrier returns when the transactions of others that are under way have ended.
func (s *socket) barrier() {
	_ = s.send(newBatch().finish()) // the kernel answers errors only, and old ones nothing
	for {
		if _, err := s.receive(); errors.Is(err, unix.EAGAIN) {
			return
		}
	}
}

// send writes a datagram. The socket takes one that is not much larger than its send
// buffer.
func (s *socket) send(data []byte) error {
	err := s.write(data)
	if errors.Is(err, unix.EMSGSIZE) && s.conn.SetWriteBuffer(len(data)) == nil {
		err = s.write(data)
	}
	if errors.Is(err, unix.EMSGSIZE) {
		return fmt.Errorf("too many rules for one transaction: install fewer at a time, or "+
			"raise the sysctl net.core.wmem_max to %d: %w", len(data), err)
	}
	if err != nil {
		return fmt.Errorf("send to nf_tables: %w", err)
	}
	return nil
}

func (s *socket) write(data []byte) error {
	raw, err := s.conn.SyscallConn()
	if err != nil {
		return err
	}
	var sendErr error
	err = raw.Write(func(fd uintptr) bool {
		for {
			sendErr = unix.Sendto(int(fd), data, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
			if !errors.Is(sendErr, unix.EINTR) {
				return true
			}
		}
	})
	return errors.Join(err, sendErr)
}

// receive reads one reply, without waiting.
func (s *socket) receive() (reply, error) {
	raw, err := s.conn.SyscallConn()
	if err != nil {
		return reply{}, err
	}
	var buf [4096]byte
	var n int
	var recvErr error
	err = raw.Read(func(fd uintptr) bool {
		for {
			n, _, recvErr = unix.Recvfrom(int(fd), buf[:], unix.MSG_DONTWAIT)
			if !errors.Is(recvErr, unix.EINTR) {
				return true
			}
		}
	})
	if err := errors.Join(err, recvErr); err != nil {
		return reply{}, err
	}
	return parseReply(buf[:n])
}

// parseReply reads an NLMSG_ERROR message.
func parseReply(datagram []byte) (reply, error) {
	malformed := fmt.Errorf("unexpected message %x", datagram)
	msg, _, ok := nlwire.Next(datagram)
	if !ok {
		return reply{}, malformed
	}
	header, _ := nlwire.ParseHeader(msg)
	body := msg[nlwire.HeaderLen:]
	errno, request, ok := nlwire.Errno(body)
	if header.Type != nlwire.TypeError || !ok {
		return reply{}, malformed
	}
	r := reply{message: int(request.Seq), errno: errno}
	if header.Flags&unix.NLM_F_CAPPED == 0 || header.Flags&unix.NLM_F_ACK_TLVS == 0 {
		return r, nil
	}
	rest := body[4+nlwire.HeaderLen:]
	for {
		typ, data, next, ok := nlwire.NextAttr(rest)
		if !ok {
			return r, nil
		}
		switch {
		case typ == unix.NLMSGERR_ATTR_MSG && len(data) > 0:
			r.text = unix.ByteSliceToString(data)
		case typ == unix.NLMSGERR_ATTR_OFFS && len(data) == 4:
			r.offset = binary.NativeEndian.Uint32(data)
		}
		rest = next
	}
}

// err returns the kernel's error.
func (r reply) err() error {
	if r.text != "" {
		return fmt.Errorf("%w (%s)", kernel.Error(r.errno), r.text)
	}
	return kernel.Error(r.errno)
}
