// SPDX-License-Identifier: GPL-2.0-or-later

package kernel

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// AtLeast reports whether the running kernel has the given version or a later one. Use it only for
// what no system call tells.
func AtLeast(major, minor int) (bool, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return false, fmt.Errorf("uname: %w", err)
	}
	var gotMajor, gotMinor int
	release := unix.ByteSliceToString(u.Release[:])
	if _, err := fmt.Sscanf(release, "%d.%d", &gotMajor, &gotMinor); err != nil {
		return false, fmt.Errorf("kernel release %q: %w", release, err)
	}
	return gotMajor > major || gotMajor == major && gotMinor >= minor, nil
}
