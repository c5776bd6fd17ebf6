// SPDX-License-Identifier: GPL-2.0-or-later

package labtest

import (
	"testing"

	"github.com/chifflier/nfqueue-go/internal/kernel"
)

// AtLeast is kernel.AtLeast. The test fails if that returns an error.
func AtLeast(tb testing.TB, major, minor int) bool {
	tb.Helper()
	ok, err := kernel.AtLeast(major, minor)
	if err != nil {
		tb.Fatal(err)
	}
	return ok
}
