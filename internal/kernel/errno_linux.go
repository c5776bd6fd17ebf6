// SPDX-License-Identifier: GPL-2.0-or-later

package kernel

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Error numbers of the architecture that the program was built for.
const (
	EPERM      = int32(unix.EPERM)
	ENOENT     = int32(unix.ENOENT)
	EBUSY      = int32(unix.EBUSY)
	ENODEV     = int32(unix.ENODEV)
	EINVAL     = int32(unix.EINVAL)
	ERANGE     = int32(unix.ERANGE)
	EAGAIN     = int32(unix.EAGAIN)
	ENOMEM     = int32(unix.ENOMEM)
	EMSGSIZE   = int32(unix.EMSGSIZE)
	ENOBUFS    = int32(unix.ENOBUFS)
	EOPNOTSUPP = int32(unix.EOPNOTSUPP)
)

func number(errno int32) error { return unix.Errno(errno) }

func numberOf(err error) (int32, bool) {
	var errno unix.Errno
	ok := errors.As(err, &errno)
	return int32(errno), ok
}

func unsupported(target error) bool {
	return target == errors.ErrUnsupported || target == unix.EOPNOTSUPP
}
