// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"sync"

	"github.com/chifflier/nfqueue-go/internal/kversion"
	"github.com/chifflier/nfqueue-go/internal/transport"
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
	ok, err := kversion.AtLeast(6, 12)
	return ok && err == nil
})
