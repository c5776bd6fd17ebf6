// SPDX-License-Identifier: GPL-2.0-or-later

package kernel

import (
	"fmt"
	"sync"

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

// CutsReplacedUDP reports whether the kernel segments a GSO packet of UDP whose payload was
// replaced. It goes by the version, since an attempt can crash the kernel: before Linux 6.12,
// gso_make_checksum sums up what it has no length of. 5.10 dies of that, 6.1 makes invalid
// checksums.
var CutsReplacedUDP = sync.OnceValue(func() bool {
	ok, err := AtLeast(6, 12)
	return ok && err == nil
})
