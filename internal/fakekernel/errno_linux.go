// SPDX-License-Identifier: GPL-2.0-or-later

package fakekernel

import "golang.org/x/sys/unix"

// Error numbers of socket calls, of the architecture the program was built for.
const (
	EMSGSIZE = int32(unix.EMSGSIZE)
	ENOBUFS  = int32(unix.ENOBUFS)
)
