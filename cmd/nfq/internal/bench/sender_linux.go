// SPDX-License-Identifier: GPL-2.0-or-later

package bench

import (
	"errors"
	"fmt"
	"math"
	"net/netip"

	"github.com/chifflier/nfqueue-go/internal/kernel"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"golang.org/x/sys/unix"
)

// udpHeaders is the size of the headers of a UDP datagram over IPv4 without options.
const udpHeaders = 20 + 8

// A super-packet of UDP, as many segments of Ethernet's size as stay below the 64 KiB that devices
// take whole, link header included.
const (
	superStep   = 1500 - udpHeaders
	superPacket = udpHeaders + 44*superStep
)

// superArrives reports whether a super-packet of UDP gets over lo as it is. Linux 5.10 and before
// cut it there (NETIF_F_GSO_UDP_L4), and lose segments when many come at once.
func superArrives() bool {
	ok, err := kernel.AtLeast(5, 11)
	return ok || err != nil
}

// datagrams sends UDP datagrams that may stay in a queue for as long as it takes. A queued packet
// of the output hook is charged to the send buffer of its socket; when one is full, the next
// datagram goes through a further socket.
type datagrams struct {
	host    *netlab.Host
	to      netip.AddrPort
	segment int // payload of the segments of a super-packet, 0 to send none
	flows   int // how many sockets take turns, 0 for as few as possible
	fds     []int
	sent    int
}

// send sends n packets of size bytes, IPv4 header included.
func (d *datagrams) send(n, size int) error {
	payload := make([]byte, size-udpHeaders)
	return d.host.Do(func() error {
		for range n {
			if err := d.sendOne(payload); err != nil {
				return err
			}
		}
		return nil
	})
}

// sendOne sends a datagram from inside the host.
func (d *datagrams) sendOne(payload []byte) error {
	if d.flows > 0 {
		return d.sendInTurn(payload)
	}
	fresh := len(d.fds) == 0
	for {
		if fresh {
			fd, err := d.dial()
			if err != nil {
				return err
			}
			d.fds = append(d.fds, fd)
		}
		_, err := unix.Write(d.fds[len(d.fds)-1], payload)
		if err == nil {
			return nil
		}
		if err != unix.EAGAIN || fresh {
			return fmt.Errorf("send %d bytes to %v: %w", len(payload), d.to, err)
		}
		fresh = true
	}
}

// sendInTurn sends a datagram through the next of the sockets.
func (d *datagrams) sendInTurn(payload []byte) error {
	for len(d.fds) < d.flows {
		fd, err := d.dial()
		if err != nil {
			return err
		}
		d.fds = append(d.fds, fd)
	}
	_, err := unix.Write(d.fds[d.sent%d.flows], payload)
	d.sent++
	if err != nil {
		return fmt.Errorf("send %d bytes to %v: %w", len(payload), d.to, err)
	}
	return nil
}

func (d *datagrams) dial() (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return 0, err
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, math.MaxInt32/2) != nil {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, math.MaxInt32/2)
	}
	if d.segment != 0 {
		err = errors.Join(err, unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_SEGMENT, d.segment))
	}
	err = errors.Join(err,
		unix.Connect(fd, &unix.SockaddrInet4{Port: int(d.to.Port()), Addr: d.to.Addr().As4()}))
	if err != nil {
		_ = unix.Close(fd)
		return 0, fmt.Errorf("UDP socket to %v: %w", d.to, err)
	}
	return fd, nil
}

func (d *datagrams) close() error {
	var errs []error
	for _, fd := range d.fds {
		errs = append(errs, unix.Close(fd))
	}
	d.fds = nil
	return errors.Join(errs...)
}
