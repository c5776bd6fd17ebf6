// SPDX-License-Identifier: GPL-2.0-or-later

// Package kerrno turns the error numbers of netlink replies into errors. They are
// Linux's own, also in a program built for another system that talks to a kernel
// which only exists in its memory.
package kerrno

import "fmt"

// ENOTSUPP is the one number nfnetlink_queue sends that is not meant for
// userspace and is in no table there (include/linux/errno.h).
const ENOTSUPP = 524

// Error returns the error for a number, nil for 0.
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
