// SPDX-License-Identifier: GPL-2.0-or-later

package consumer

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Resident returns how many bytes of memory a process has that are not those of files (RssAnon in
// /proc/PID/status).
func Resident(pid string) (int, error) {
	f, err := os.Open("/proc/" + pid + "/status")
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), "RssAnon:"); ok {
			kB, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
			return kB << 10, err
		}
	}
	return 0, fmt.Errorf("%s has no RssAnon", f.Name())
}
