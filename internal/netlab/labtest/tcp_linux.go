// SPDX-License-Identifier: GPL-2.0-or-later

package labtest

import (
	"errors"
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// Forget ends connections without a packet.
func Forget(tb testing.TB, ends ...*net.TCPConn) {
	tb.Helper()
	for _, end := range ends {
		raw, err := end.SyscallConn()
		Must(tb, err)
		e := raw.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_REPAIR, 1)
		})
		Must(tb, errors.Join(e, err))
		_ = end.Close()
	}
}
