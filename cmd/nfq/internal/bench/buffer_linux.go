// SPDX-License-Identifier: GPL-2.0-or-later

package bench

import (
	"fmt"
	"math/bits"
	"runtime"

	"golang.org/x/sys/unix"
)

// bufferCharge returns what an unread packet of size bytes takes of a receive buffer, in the
// kernel's count, on an architecture. It is what was measured on x86-64: the linear part in a power
// of two, pages as they are.
func bufferCharge(arch string, size int) int {
	lines := 0
	if arch == "s390x" {
		lines = 512 // what rounding up to its cache lines of 256 bytes adds
	}
	switch {
	case size <= 128:
		return 832 + lines
	case size > 16<<10:
		return size + 1024 + lines
	}
	return 1<<bits.Len(uint(size+399+lines)) + 256 + lines
}

// largestBuffer returns the largest receive buffer that a consumer can have: as large as it likes
// for root, twice the sysctl net.core.rmem_max in a user namespace.
func largestBuffer() (int, error) {
	const most = 1 << 30
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return 0, err
	}
	defer func() { _ = unix.Close(fd) }()
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, most/2) != nil {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, most/2); err != nil {
			return 0, fmt.Errorf("SO_RCVBUF: %w", err)
		}
	}
	return unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
}

// maxPending is the most packets that recent kernels hold in one queue.
const maxPending = 65536

// backlog returns how many packets of size bytes may wait unread for a consumer, but not more than
// want, and the receive buffer that takes. A quarter is left for processors on which the charge is
// higher.
func backlog(want, size int) (packets, buffer int, err error) {
	largest, err := largestBuffer()
	if err != nil {
		return 0, 0, err
	}
	charge := bufferCharge(runtime.GOARCH, size) * 5 / 4
	packets = max(1, min(want, maxPending, largest/charge))
	return packets, min(largest, packets*charge), nil
}
