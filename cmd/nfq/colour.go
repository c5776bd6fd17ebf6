// SPDX-License-Identifier: GPL-2.0-or-later

//go:build linux

package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// colourful reports whether colours are welcome on f: on a terminal, unless NO_COLOR is set (https://no-color.org).
func colourful(f *os.File) bool {
	if os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	return isTerminal(f)
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
