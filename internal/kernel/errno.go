// SPDX-License-Identifier: GPL-2.0-or-later

package kernel

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

// ENOTSUPP is an error number that nfnetlink_queue sends although it is internal to the kernel
// (include/linux/errno.h). No table of userspace lists it.
const ENOTSUPP = 524

// Error returns the error for a Linux error number of a netlink reply, and nil for 0. On every
// system errors.Is matches it with the portable errors, such as fs.ErrPermission.
func Error(errno int32) error {
	switch errno {
	case 0:
		return nil
	case ENOTSUPP:
		return notSupp{}
	}
	return number(errno)
}

// Number returns the Linux error number that an error stands for: one of Error, a syscall.Errno by
// its name, fs.ErrPermission (EPERM), fs.ErrNotExist (ENOENT) or errors.ErrUnsupported
// (EOPNOTSUPP).
func Number(err error) (errno int32, ok bool) {
	if errors.As(err, new(notSupp)) {
		return ENOTSUPP, true
	}
	if errno, ok := numberOf(err); ok {
		return errno, true
	}
	for _, n := range names {
		if errors.Is(err, n.err) {
			return n.errno, true
		}
	}
	return 0, false
}

// names are errors that are the same on every system, with Linux's numbers.
var names = []struct {
	err   error
	errno int32
}{
	{syscall.EPERM, EPERM}, {syscall.ENOENT, ENOENT}, {syscall.EBUSY, EBUSY}, {syscall.EINVAL, EINVAL},
	{syscall.EAGAIN, EAGAIN}, {syscall.ENOMEM, ENOMEM}, {syscall.ENOBUFS, ENOBUFS},
	{fs.ErrPermission, EPERM}, {fs.ErrNotExist, ENOENT}, {errors.ErrUnsupported, EOPNOTSUPP},
}

// notSupp is ENOTSUPP.
type notSupp struct{}

func (notSupp) Error() string {
	return fmt.Sprintf("operation is not supported (ENOTSUPP, %d)", ENOTSUPP)
}

func (notSupp) Is(target error) bool { return unsupported(target) }
