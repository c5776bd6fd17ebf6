// SPDX-License-Identifier: GPL-2.0-or-later

// Package pcapngtest has tests read recordings with tshark.
package pcapngtest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Tshark returns what tshark finds in a file: for each packet the values of fields such as
// "ip.src", one that comes several times with commas. The test fails if tshark cannot read the
// file. It is skipped where there is no tshark, and fails with the environment variable
// NFQUEUE_REQUIRE_KERNEL=1.
func Tshark(tb testing.TB, file string, fields ...string) [][]string {
	tb.Helper()
	packets, err := Read(tb, file, fields...)
	if err != nil {
		tb.Fatal(err)
	}
	return packets
}

// Read is Tshark for files that tshark may be unable to read, or not to their end.
func Read(tb testing.TB, file string, fields ...string) (packets [][]string, err error) {
	tb.Helper()
	if testing.Short() {
		tb.Skip("other programs take long")
	}
	program, err := exec.LookPath("tshark")
	if err != nil {
		if os.Getenv("NFQUEUE_REQUIRE_KERNEL") == "1" {
			tb.Fatalf("%v (NFQUEUE_REQUIRE_KERNEL=1 forbids to skip)", err)
		}
		tb.Skip(err)
	}
	// Without name resolution, and (by HOME) without what a user has configured.
	args := []string{"-n", "-r", file, "-T", "fields", "-E", "separator=/t"}
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "HOME="+tb.TempDir(), "LC_ALL=C", "TZ=UTC")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%v: %w\n%s", cmd, err, &stderr)
	}
	for line := range strings.Lines(string(out)) {
		packets = append(packets, strings.Split(strings.TrimSuffix(line, "\n"), "\t"))
	}
	return packets, err
}
