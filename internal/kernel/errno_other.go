// SPDX-License-Identifier: GPL-2.0-or-later

//go:build !linux

package kernel

import (
	"errors"
	"fmt"
	"io/fs"
)

// Error numbers of asm-generic/errno.h.
const (
	EPERM      = int32(1)
	ENOENT     = int32(2)
	EBUSY      = int32(16)
	ENODEV     = int32(19)
	EINVAL     = int32(22)
	ERANGE     = int32(34)
	EAGAIN     = int32(11)
	ENOMEM     = int32(12)
	EMSGSIZE   = int32(90)
	ENOBUFS    = int32(105)
	EOPNOTSUPP = int32(95)
)

var texts = map[int32]string{
	EPERM:      "operation not permitted",
	ENOENT:     "no such file or directory",
	EBUSY:      "device or resource busy",
	ENODEV:     "no such device",
	EINVAL:     "invalid argument",
	ERANGE:     "numerical result out of range",
	EAGAIN:     "resource temporarily unavailable",
	ENOMEM:     "cannot allocate memory",
	EMSGSIZE:   "message too long",
	ENOBUFS:    "no buffer space available",
	EOPNOTSUPP: "operation not supported",
}

// linuxErrno is a Linux error number on another system, where syscall.Errno has other numbers.
type linuxErrno int32

func number(errno int32) error { return linuxErrno(errno) }

func numberOf(err error) (int32, bool) {
	var errno linuxErrno
	ok := errors.As(err, &errno)
	return int32(errno), ok
}

func (e linuxErrno) Error() string {
	if s, ok := texts[int32(e)]; ok {
		return s
	}
	return fmt.Sprintf("Linux error number %d", int32(e))
}

// Is matches the same portable errors as syscall.Errno on Linux.
func (e linuxErrno) Is(target error) bool {
	switch int32(e) {
	case EPERM:
		return target == fs.ErrPermission
	case ENOENT:
		return target == fs.ErrNotExist
	case EOPNOTSUPP:
		return unsupported(target)
	}
	return false
}

func unsupported(target error) bool { return target == errors.ErrUnsupported }
