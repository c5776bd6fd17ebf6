// SPDX-License-Identifier: GPL-2.0-or-later

package demo

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxDatagram is longer than any datagram of the scenario.
const maxDatagram = 2048

// inbox is a socket whose datagrams are those of a flow.
type inbox struct {
	conn syscall.Conn
	flow *flow
	// find returns the part of a datagram that belongs to the flow, nil if none does. A nil find
	// stands for all of it.
	find func([]byte) []byte
}

// collect reads what is in the inboxes, without waiting.
func (p *path) collect() error {
	for _, i := range p.inboxes {
		if err := i.collect(); err != nil {
			return err
		}
	}
	return nil
}

func (i inbox) collect() error {
	raw, err := i.conn.SyscallConn()
	if err != nil {
		return err
	}
	var readErr error
	// Control instead of Read, which would return an error after the deadline.
	err = raw.Control(func(fd uintptr) {
		for readErr == nil {
			b := make([]byte, maxDatagram)
			var n int
			if n, _, readErr = unix.Recvfrom(int(fd), b, unix.MSG_DONTWAIT); readErr != nil {
				return
			}
			b = b[:n]
			if i.find != nil {
				b = i.find(b)
			}
			if b != nil {
				i.flow.got = append(i.flow.got, b)
			}
		}
	})
	if err == nil && !errors.Is(readErr, unix.EAGAIN) {
		err = readErr
	}
	return err
}
