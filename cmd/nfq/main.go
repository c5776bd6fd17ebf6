// SPDX-License-Identifier: GPL-2.0-or-later

//go:build linux

// Command nfq shows, tests and measures NFQUEUE, the queues through which Linux hands packets to
// programs.
package main

import (
	"os"

	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:])) }
