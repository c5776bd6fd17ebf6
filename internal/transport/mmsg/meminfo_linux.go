// SPDX-License-Identifier: GPL-2.0-or-later

package mmsg

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// ReceiveMemory returns the size of a socket's receive buffer, and how many bytes of it are used,
// as the kernel counts them (SO_MEMINFO, linux/sock_diag.h).
func ReceiveMemory(fd uintptr) (size, used int, err error) {
	var info [9]uint32 // SK_MEMINFO_VARS
	n := uint32(unsafe.Sizeof(info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&n)), 0)
	if errno != 0 {
		return 0, 0, errno
	}
	return int(info[1]), int(info[0]), nil // SK_MEMINFO_RCVBUF, SK_MEMINFO_RMEM_ALLOC
}
