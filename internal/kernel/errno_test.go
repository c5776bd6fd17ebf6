// SPDX-License-Identifier: GPL-2.0-or-later

package kernel

import (
	"errors"
	"io/fs"
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
