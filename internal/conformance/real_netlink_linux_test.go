// SPDX-License-Identifier: GPL-2.0-or-later

package conformance_test

import (
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go/internal/conformance"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"golang.org/x/sys/unix"
)

// realSocket is a socket of the real kernel.
type realSocket struct {
	t  *testing.T
	fd int
}

func TestRealNetlink(t *testing.T) {
	conformance.TestNetlink(t, func(t *testing.T) func() conformance.Socket {
		host := labtest.Host(t)
		return func() conformance.Socket {
			s := &realSocket{t: t}
			labtest.Must(t, host.Do(s.dial))
			return s
		}
	})
}

func (s *realSocket) dial() (err error) {
	if s.fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC,
		unix.NETLINK_NETFILTER); err != nil {
		return err
	}
	patience := unix.NsecToTimeval(int64(10 * time.Second))
	for _, err := range []error{
		unix.Bind(s.fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}),
		unix.Connect(s.fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}),
		unix.SetsockoptInt(s.fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1),
		unix.SetsockoptTimeval(s.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &patience),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *realSocket) Send(b []byte) {
	if _, err := unix.Write(s.fd, b); err != nil {
		s.t.Fatal(err)
	}
}

func (s *realSocket) Receive() []byte {
	b := make([]byte, 1<<17)
	n, err := unix.Read(s.fd, b)
	if err != nil {
		s.t.Fatal(err)
	}
	return b[:n]
}

func (s *realSocket) Close() { unix.Close(s.fd) }
