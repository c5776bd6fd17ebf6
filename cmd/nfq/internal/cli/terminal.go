// SPDX-License-Identifier: GPL-2.0-or-later

//go:build linux

package cli

import (
	"os"

	"golang.org/x/sys/unix"
)

// terminal reports whether f is one that can move its cursor.
func terminal(f *os.File) bool {
	if os.Getenv("TERM") == "dumb" {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// colourful reports whether colours are welcome on f: on a terminal, unless NO_COLOR is set (https://no-color.org).
func colourful(f *os.File) bool {
	return os.Getenv("NO_COLOR") == "" && terminal(f)
}
