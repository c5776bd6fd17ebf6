// SPDX-License-Identifier: GPL-2.0-or-later

package fakekernel

import (
	"net"
	"os"
	"time"

	"github.com/chifflier/nfqueue-go/internal/transport"
)

// input is the receive queue of a socket.
type input struct {
	waiting    []datagram
	size, used int // of the receive buffer
	deadline   time.Time
	timer      *time.Timer
	changed    chan struct{} // closed when a waiting Recv is to look again
}

type datagram struct {
	data      []byte
	charge    int
	truncated bool
	packet    packetID // of a PACKET message
	payload   int      // bytes of it at the end
}

// Recv implements transport.Conn.
func (c *Conn) Recv(s *transport.Slab) (int, error) {
	k := c.kernel
	k.mu.Lock()
	for i := range s.Slots() {
		c.reuse(s.Slot(i))
	}
	k.mu.Unlock()
	for {
		k.mu.Lock()
		n, err := c.recvLocked(s)
		changed := c.changed
		k.mu.Unlock()
		if n > 0 || err != nil {
			return n, err
		}
		<-changed
	}
}

// recvLocked returns 0 and no error if there is nothing to receive yet.
func (c *Conn) recvLocked(s *transport.Slab) (n int, err error) {
	if c.closed {
		return 0, net.ErrClosed
	}
	if !c.deadline.IsZero() && !time.Now().Before(c.deadline) {
		return 0, os.ErrDeadlineExceeded
	}
	if err, ok := c.failRecv.next(); ok {
		return 0, err
	}
	for ; n < len(c.waiting) && n < s.Slots(); n++ {
		d := c.waiting[n]
		c.used -= d.charge
		copied := copy(s.Slot(n), d.data)
		c.show(d, s.Slot(n), copied)
		*s.Datagram(n) = transport.Datagram{Len: copied, Truncated: d.truncated || copied < len(d.data)}
	}
	c.waiting = c.waiting[n:]
	return n, nil
}

// SetReadDeadline implements transport.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.kernel.mu.Lock()
	defer c.kernel.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	c.setDeadline(t)
	return nil
}

func (c *Conn) setDeadline(t time.Time) {
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
	c.deadline = t
	if wait := time.Until(t); wait > 0 {
		c.timer = time.AfterFunc(wait, func() {
			c.kernel.mu.Lock()
			defer c.kernel.mu.Unlock()
			c.wake()
		})
	}
	c.wake()
}

// wake makes the current Recv check again.
func (c *Conn) wake() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// deliver puts a datagram into the receive queue. It reports false if the receive buffer has no
// room; an empty one has room for any datagram.
func (c *Conn) deliver(d datagram) bool {
	if len(c.waiting) > 0 && c.used+d.charge > c.size {
		return false
	}
	c.waiting = append(c.waiting, d)
	c.used += d.charge
	c.wake()
	return true
}

// deliverPacket is deliver for the PACKET message of a packet, of which payload bytes are at the
// end.
func (c *Conn) deliverPacket(msg []byte, charge int, packet packetID, payload int) bool {
	if c.overrun > 0 {
		c.overrun--
		return false
	}
	d := datagram{data: msg, charge: charge, packet: packet, payload: payload}
	if n, ok := c.truncate.next(); ok && n < len(msg) {
		d.data, d.truncated = msg[:n], true
	}
	return c.deliver(d)
}
