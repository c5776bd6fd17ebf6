// SPDX-License-Identifier: GPL-2.0-or-later

//go:build linux

// Command nfq shows, tests and measures NFQUEUE, the queues through which Linux hands packets to programs.
package main

import (
	"context"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(execute(ctx, os.Args[1:]))
}
