// SPDX-License-Identifier: GPL-2.0-or-later

//go:build linux

// Package terminal tells what the terminal of the user can show, and when that changes.
package terminal

import (
	"os"
	"strings"

	"golang.org/x/term"
)

// Is reports whether f is a terminal that can move its cursor. All those in use do so with the
// control sequences of ECMA-48, except the ones that TERM names here.
func Is(f *os.File) bool {
	switch os.Getenv("TERM") {
	case "", "dumb", "unknown", "network":
		return false
	}
	return term.IsTerminal(int(f.Fd()))
}

// Colourful reports whether colours are welcome on f: on a terminal, unless NO_COLOR is set
// (https://no-color.org).
func Colourful(f *os.File) bool {
	return os.Getenv("NO_COLOR") == "" && Is(f)
}

// Size returns how many rows and columns f shows. For a file that does not say it is 24 by 80.
func Size(f *os.File) (rows, columns int) {
	columns, rows, err := term.GetSize(int(f.Fd()))
	if err != nil || rows == 0 || columns == 0 {
		return 24, 80
	}
	return rows, columns
}

// Plain returns text as the locale of the user can show it: without UTF-8, "u" stands for "µ".
func Plain(text string) string {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if value := os.Getenv(name); value != "" {
			value = strings.ToLower(value)
			if strings.Contains(value, "utf-8") || strings.Contains(value, "utf8") {
				return text
			}
			break
		}
	}
	return strings.ReplaceAll(text, "µ", "u")
}
