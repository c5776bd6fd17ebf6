// SPDX-License-Identifier: GPL-2.0-or-later

//go:build !linux

// Command nfq shows, tests and measures NFQUEUE, the queues through which Linux hands packets to programs.
package main

import (
	"fmt"
	"os"
	"runtime"
)

func main() {
	fmt.Fprintf(os.Stderr, "nfq: NFQUEUE is a part of the Linux kernel, and this program is built for %s; run nfq on Linux\n", runtime.GOOS)
	os.Exit(3)
}
