// SPDX-License-Identifier: GPL-2.0-or-later

//go:build linux

package main

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
