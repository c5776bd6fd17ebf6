// SPDX-License-Identifier: GPL-2.0-or-later

package kernel

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"testing"
)

// TestErrorMatches: on every system the numbers match the portable errors.
func TestErrorMatches(t *testing.T) {
	for _, c := range []struct {
		errno int32
		is    error
	}{
		{EPERM, fs.ErrPermission},
		{ENOENT, fs.ErrNotExist},
		{EOPNOTSUPP, errors.ErrUnsupported},
		{ENOTSUPP, errors.ErrUnsupported},
		{EBUSY, Error(EBUSY)},
	} {
		err := Error(c.errno)
		if !errors.Is(err, c.is) || err.Error() == "" {
			t.Errorf("error %d is %q, want %q", c.errno, err, c.is)
		}
		if errors.Is(Error(EINVAL), c.is) {
			t.Errorf("EINVAL is %q", c.is)
		}
	}
	if err := Error(0); err != nil {
		t.Errorf("no error is %q", err)
	}
}

// TestNumber: Number is the inverse of Error, and knows the names of other errors.
func TestNumber(t *testing.T) {
	for _, errno := range []int32{EPERM, ENOENT, EBUSY, ENODEV, EINVAL, ERANGE, EAGAIN, ENOMEM,
		EMSGSIZE, ENOBUFS, EOPNOTSUPP, ENOTSUPP} {
		if got, ok := Number(fmt.Errorf("wrapped: %w", Error(errno))); !ok || got != errno {
			t.Errorf("error %d: %d, %v", errno, got, ok)
		}
	}
	for err, want := range map[error]int32{
		syscall.EPERM: EPERM, syscall.ENOBUFS: ENOBUFS, syscall.EINVAL: EINVAL,
		fs.ErrPermission: EPERM, fs.ErrNotExist: ENOENT, errors.ErrUnsupported: EOPNOTSUPP,
	} {
		if got, ok := Number(err); !ok || got != want {
			t.Errorf("%v: %d, %v; want %d", err, got, ok, want)
		}
	}
	for _, err := range []error{nil, errors.New("of no number")} {
		if got, ok := Number(err); ok {
			t.Errorf("%v: %d", err, got)
		}
	}
}
