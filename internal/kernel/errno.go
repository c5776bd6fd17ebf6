// SPDX-License-Identifier: GPL-2.0-or-later

package kernel

import "fmt"

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

// notSupp is ENOTSUPP.
type notSupp struct{}

func (notSupp) Error() string {
	return fmt.Sprintf("operation is not supported (ENOTSUPP, %d)", ENOTSUPP)
}

func (notSupp) Is(target error) bool { return unsupported(target) }
