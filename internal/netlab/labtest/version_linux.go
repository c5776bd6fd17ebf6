// SPDX-License-Identifier: GPL-2.0-or-later

package labtest

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

// AtLeast reports whether the kernel has a version or a later one, for what there is no other way to find out.
func AtLeast(tb testing.TB, major, minor int) bool {
	tb.Helper()
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		tb.Fatal(err)
	}
	var gotMajor, gotMinor int
	release := unix.ByteSliceToString(u.Release[:])
	if _, err := fmt.Sscanf(release, "%d.%d", &gotMajor, &gotMinor); err != nil {
		tb.Fatalf("kernel release %q: %v", release, err)
	}
	return gotMajor > major || gotMajor == major && gotMinor >= minor
}
