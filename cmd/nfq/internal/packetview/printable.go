// SPDX-License-Identifier: GPL-2.0-or-later

package packetview

import "fmt"

// printable returns text from a packet with everything escaped that could do something
// to a terminal, or look like the end of a line.
func printable[T ~string | ~[]byte](text T) string {
	clean := true
	for i := range len(text) {
		clean = clean && isPrintable(text[i])
	}
	if clean {
		return string(text)
	}
	var b []byte
	for i := range len(text) {
		if c := text[i]; isPrintable(c) {
			b = append(b, c)
		} else {
			b = fmt.Appendf(b, `\x%02x`, c)
		}
	}
	return string(b)
}

func isPrintable(c byte) bool { return c >= ' ' && c < 0x7f }
