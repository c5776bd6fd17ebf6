// SPDX-License-Identifier: GPL-2.0-or-later

package probe

import (
	"errors"
	"net"
)

// sendUDP sends datagrams from the network namespace of the calling thread.
func sendUDP(address string, n int) error {
	c, err := net.Dial("udp4", address)
	if err != nil {
		return err
	}
	for range n {
		_, writeErr := c.Write([]byte("x"))
		err = errors.Join(err, writeErr)
	}
	return errors.Join(err, c.Close())
}
