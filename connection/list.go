// SPDX-License-Identifier: GPL-2.0-or-later

package connection

import "time"

// list is a queue of connections that are forgotten after a time, the oldest first. A
// packet only stamps its connection: whether one at the front is old is seen when it is
// its turn.
type list struct {
	timeout    time.Duration
	head, tail *Conn
	len        int
}

func (l *list) push(c *Conn) {
	c.list, c.prev, c.next = l, l.tail, nil
	if l.tail == nil {
		l.head = c
	} else {
		l.tail.next = c
	}
	l.tail = c
	l.len++
}

func (l *list) remove(c *Conn) {
	if c.prev == nil {
		l.head = c.next
	} else {
		c.prev.next = c.next
	}
	if c.next == nil {
		l.tail = c.prev
	} else {
		c.next.prev = c.prev
	}
	c.list, c.prev, c.next = nil, nil, nil
	l.len--
}

// move puts c at the end of another list, or of its own.
func (l *list) move(c *Conn) {
	c.list.remove(c)
	l.push(c)
}
