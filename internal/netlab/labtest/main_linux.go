// SPDX-License-Identifier: GPL-2.0-or-later

package labtest

import (
	"flag"
	"fmt"
	"os"

	"github.com/chifflier/nfqueue-go/internal/netlab"
	"go.uber.org/goleak"
)

// refused is why netlab.Enter failed.
var refused error

// Main is the body of a TestMain:
//
//	func TestMain(m *testing.M) { labtest.Main(m) }
//
// It enters the namespaces that hosts need (see netlab.Enter), runs the tests, fails if they leave
// goroutines or descriptors behind, and ends the process. If the kernel refuses the namespaces the
// tests run anyway; those that call Need are skipped or fail.
func Main(m interface{ Run() int }) {
	refused = netlab.Enter()
	before := descriptors()
	status := m.Run()
	if status == 0 && !fuzzing() {
		if err := leaks(before); err != nil {
			fmt.Fprintln(os.Stderr, "labtest:", err)
			status = 1
		}
	}
	os.Exit(status)
}

func fuzzing() bool {
	f := flag.Lookup("test.fuzz")
	return f != nil && f.Value.String() != ""
}

// leaks returns an error for goroutines that do not end soon, or else for descriptors that were not
// open before.
func leaks(before map[string]string) error {
	if err := goleak.Find(); err != nil {
		return err
	}
	for fd, target := range descriptors() {
		if was, ok := before[fd]; !ok || was != target {
			return fmt.Errorf("leaked descriptor %s: %s", fd, target)
		}
	}
	return nil
}

// descriptors returns the target of each open descriptor, except those that package runtime opens
// when it needs them.
func descriptors() map[string]string {
	const dir = "/proc/self/fd"
	open := make(map[string]string)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return open
	}
	for _, e := range entries {
		target, err := os.Readlink(dir + "/" + e.Name())
		// The directory itself is closed again by now.
		if err == nil && target != "anon_inode:[eventpoll]" && target != "anon_inode:[eventfd]" {
			open[e.Name()] = target
		}
	}
	return open
}
