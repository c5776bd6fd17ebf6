// SPDX-License-Identifier: GPL-2.0-or-later

package mmsg

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Getsockopt is getsockopt(2). The kernel reads b and overwrites it with the answer; Getsockopt
// returns the answer's length. b must not be empty.
func Getsockopt(fd uintptr, level, name int, b []byte) (int, error) {
	n := uint32(len(b))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, uintptr(level), uintptr(name),
		uintptr(unsafe.Pointer(&b[0])), uintptr(unsafe.Pointer(&n)), 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
