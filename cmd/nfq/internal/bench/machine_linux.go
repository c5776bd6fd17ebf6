// SPDX-License-Identifier: GPL-2.0-or-later

package bench

import (
	"bufio"
	"os"
	"runtime"
	"strings"

	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/bench/figure"
	"golang.org/x/sys/unix"
)

func thisMachine(cpus int) figure.Machine {
	m := figure.Machine{Architecture: runtime.GOARCH, CPUs: cpus, Go: runtime.Version()}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return m
	}
	defer func() { _ = f.Close() }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), ":"); ok &&
			strings.TrimSpace(key) == "model name" {
			m.Processor = strings.TrimSpace(value)
			break
		}
	}
	return m
}
