// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue_test

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

// atLeast reports whether the kernel has a version or a later one, for what there is
// no other way to find out.
func atLeast(t *testing.T, major, minor int) bool {
	t.Helper()
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		t.Fatal(err)
	}
	var gotMajor, gotMinor int
	release := unix.ByteSliceToString(u.Release[:])
	if _, err := fmt.Sscanf(release, "%d.%d", &gotMajor, &gotMinor); err != nil {
		t.Fatalf("kernel release %q: %v", release, err)
	}
	return gotMajor > major || gotMajor == major && gotMinor >= minor
}
