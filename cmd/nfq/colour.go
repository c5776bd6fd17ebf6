// SPDX-License-Identifier: GPL-2.0-or-later

//go:build linux

package main

import "os"

// colourful reports whether colours are welcome on f: on a terminal, unless NO_COLOR is set (https://no-color.org).
func colourful(f *os.File) bool {
	return os.Getenv("NO_COLOR") == "" && terminal(f)
}
