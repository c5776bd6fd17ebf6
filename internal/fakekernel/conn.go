// SPDX-License-Identifier: GPL-2.0-or-later

package fakekernel

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"time"

	"github.com/chifflier/nfqueue-go/internal/kernel"
	"github.com/chifflier/nfqueue-go/internal/transport"
)

// Conn is a netlink socket with the options NETLINK_NO_ENOBUFS and NETLINK_CAP_ACK.
type Conn struct {
	kernel *Kernel
	portID uint32

	// Guarded by Kernel.mu.
	closed  bool
	maxSend int
	input
	shown
	faults
}

var _ transport.Conn = (*Conn)(nil)

// defaultReadBuffer is the usual net.core.rmem_default.
const defaultReadBuffer = 212992

// Dial opens a socket.
func (k *Kernel) Dial() *Conn {
	k.mu.Lock()
	defer k.mu.Unlock()
	c := &Conn{kernel: k, portID: portID(k.sockets), maxSend: k.maxSend}
	c.size = min(defaultReadBuffer, k.rmemMax)
	c.changed = make(chan struct{})
	k.sockets++
	return c
}

// portID returns the port id of the nth socket: the process id for the first, then
// numbers from below 2^32 on downwards.
func portID(n uint32) uint32 {
	const process = 4711
	if n == 0 {
		return process
	}
	return math.MaxUint32 - 4095 - n
}

// PortID returns the port id of the socket, which identifies the owner of a queue.
func (c *Conn) PortID() uint32 { return c.portID }

// Send implements transport.Conn.
func (c *Conn) Send(pieces [][]byte) error {
	b := bytes.Join(pieces, nil)
	c.kernel.mu.Lock()
	defer c.kernel.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	if err, ok := c.failSend.next(); ok {
		return err
	}
	if len(b) > c.maxSend {
		return kernel.Error(kernel.EMSGSIZE)
	}
	c.kernel.receive(c, b)
	return nil
}

// SetReadBuffer implements transport.Conn.
func (c *Conn) SetReadBuffer(n int) (granted int, err error) {
	c.kernel.mu.Lock()
	defer c.kernel.mu.Unlock()
	if c.closed {
		return 0, net.ErrClosed
	}
	c.size = min(n, c.kernel.rmemMax)
	return c.size, nil
}

// ReadBuffer implements transport.Conn.
func (c *Conn) ReadBuffer() (size, used int, err error) {
	c.kernel.mu.Lock()
	defer c.kernel.mu.Unlock()
	if c.closed {
		return 0, 0, net.ErrClosed
	}
	return c.size, c.used, nil
}

// MaxSend implements transport.Conn.
func (c *Conn) MaxSend() int { return c.maxSend }

// Link implements transport.Conn. MTUs are not known.
func (c *Conn) Link(index uint32) (transport.Link, error) {
	c.kernel.mu.Lock()
	defer c.kernel.mu.Unlock()
	if c.closed {
		return transport.Link{}, net.ErrClosed
	}
	name, ok := c.kernel.links[index]
	if !ok {
		return transport.Link{}, kernel.Error(kernel.ENODEV)
	}
	return transport.Link{Name: name}, nil
}

// BusyPolled implements transport.Conn.
func (c *Conn) BusyPolled() time.Duration { return 0 }

// CutsReplacedUDP implements transport.Conn.
func (c *Conn) CutsReplacedUDP() bool { return true }

// File implements transport.Conn. It fails: a socket in memory has no descriptor.
func (c *Conn) File() (*os.File, error) {
	return nil, fmt.Errorf("a socket in memory has no file: %w", errors.ErrUnsupported)
}

// Close implements transport.Conn.
func (c *Conn) Close() error {
	c.kernel.mu.Lock()
	defer c.kernel.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	c.closed = true
	for _, q := range c.kernel.queues {
		if q.owner == c {
			c.kernel.unbind(q)
		}
	}
	c.setDeadline(time.Time{})
	return nil
}

// Closed reports whether Close has been called.
func (c *Conn) Closed() bool {
	c.kernel.mu.Lock()
	defer c.kernel.mu.Unlock()
	return c.closed
}
