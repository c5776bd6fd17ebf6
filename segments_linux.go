// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"fmt"
	"sync"

	"github.com/chifflier/nfqueue-go/internal/transport"
	"golang.org/x/sys/unix"
)

// cutsReplacedUDP reports whether the kernel behind a connection can cut a UDP super-packet
// (UDP_SEGMENT) whose payload was replaced. A version says so, since to try is to crash:
// before Linux 6.12 the kernel sums up what it has no length of (gso_make_checksum). 5.10 dies of
// that, 6.1 makes invalid checksums.
func cutsReplacedUDP(conn transport.Conn) bool {
	_, socket := conn.(*linuxConn)
	return !socket || kernelCutsUDP()
}

var kernelCutsUDP = sync.OnceValue(func() bool {
	var u unix.Utsname
	var major, minor int
	if unix.Uname(&u) != nil {
		return false
	}
	if _, err := fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &major, &minor); err != nil {
		return false
	}
	return major > 6 || major == 6 && minor >= 12
})
