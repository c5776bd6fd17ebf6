// SPDX-License-Identifier: GPL-2.0-or-later

// Package kversion tells the version of the kernel, for what there is no other way to find out.
package kversion

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// AtLeast reports whether the kernel has a version or a later one.
func AtLeast(major, minor int) (bool, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return false, err
	}
	var gotMajor, gotMinor int
	release := unix.ByteSliceToString(u.Release[:])
	if _, err := fmt.Sscanf(release, "%d.%d", &gotMajor, &gotMinor); err != nil {
		return false, fmt.Errorf("kernel release %q: %w", release, err)
	}
	return gotMajor > major || gotMajor == major && gotMinor >= minor, nil
}
