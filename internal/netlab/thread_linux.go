// SPDX-License-Identifier: GPL-2.0-or-later

package netlab

import "github.com/chifflier/nfqueue-go/internal/netns"

// Do runs fn on an OS thread inside the host's network namespace and returns its error, see
// netns.Do. Calls may be nested and concurrent. After Close the error is os.ErrClosed.
func (h *Host) Do(fn func() error) error { return netns.Do(h.ns, fn) }

// In runs fn as Host.Do does and returns its result:
//
//	conn, err := netlab.In(host, func() (net.PacketConn, error) {
//		return net.ListenPacket("udp", "127.0.0.1:0")
//	})
func In[T any](h *Host, fn func() (T, error)) (T, error) {
	var result T
	err := h.Do(func() (err error) {
		result, err = fn()
		return err
	})
	return result, err
}
