// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails if the tests leave goroutines behind.
func TestMain(m *testing.M) {
	status := m.Run()
	if fuzz := flag.Lookup("test.fuzz"); status == 0 && fuzz.Value.String() == "" {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			status = 1
		}
	}
	os.Exit(status)
}
