// SPDX-License-Identifier: GPL-2.0-or-later

// Package nlsocket opens netlink sockets of the netfilter protocol, adopts inherited ones, and asks
// them what is rarely needed.
package nlsocket

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/chifflier/nfqueue-go/internal/transport"
	"github.com/mdlayher/netlink"
	"github.com/mdlayher/socket"
	"golang.org/x/sys/unix"
)

// Socket is a *netlink.Conn if this process has opened the socket, and a *socket.Conn if it
// has adopted it.
type Socket interface {
	SyscallConn() (syscall.RawConn, error)
	SetReadDeadline(t time.Time) error
	SetReadBuffer(bytes int) error
	ReadBuffer() (int, error)
	WriteBuffer() (int, error)
	Close() error
}

// sendBuffer holds the verdicts of a receive batch of full-size frames that are all altered.
const sendBuffer = 512 << 10

// Dial opens a socket in the network namespace of a descriptor, or in the current one if ns is 0.
func Dial(ns int) (Socket, error) {
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
	return s, nil
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

// Adopt duplicates a socket that another process, or another Queue, has opened with Dial. f stays
// the caller's.
func Adopt(f *os.File) (Socket, error) {
	s, err := socket.FileConn(f, "nfqueue")
	if err != nil {
		return nil, fmt.Errorf("socket of %s: %w", f.Name(), err)
	}
	if err := checkNetfilter(s); err != nil {
		return nil, errors.Join(fmt.Errorf("socket of %s: %w", f.Name(), err), s.Close())
	}
	return s, nil
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

// Duplicate duplicates the descriptor of a socket.
func Duplicate(fd uintptr) (*os.File, error) {
	dup, err := unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(dup), "nfqueue"), nil
}

// Link returns an interface of a socket's network namespace.
func Link(fd uintptr, index uint32) (l transport.Link, err error) {
	ifr, err := unix.NewIfreq("")
	if err != nil {
		return l, err
	}
	ifr.SetUint32(index)
	if err = unix.IoctlIfreq(int(fd), unix.SIOCGIFNAME, ifr); err != nil {
		return l, err
	}
	l.Name = ifr.Name()
	if err = unix.IoctlIfreq(int(fd), unix.SIOCGIFMTU, ifr); err == nil {
		l.MTU = int(ifr.Uint32())
	}
	return l, err
}
