// SPDX-License-Identifier: GPL-2.0-or-later

package packetview

import "fmt"

// appendHex appends bytes in hexadecimal and ASCII, 16 in a line, as tcpdump -X does.
func appendHex(b, data []byte) []byte {
	for at := 0; at < len(data); at += 16 {
		row := data[at:min(at+16, len(data))]
		b = fmt.Appendf(b, "\t0x%04x: ", at)
		for i := range 16 {
			if i%2 == 0 {
				b = append(b, ' ')
			}
			if i < len(row) {
				b = fmt.Appendf(b, "%02x", row[i])
			} else {
				b = append(b, "  "...)
			}
		}
		b = append(b, "  "...)
		for _, c := range row {
			if !isPrintable(c) {
				c = '.'
			}
			b = append(b, c)
		}
		b = append(b, '\n')
	}
	return b
}

// appendASCII appends bytes as text, as tcpdump -A does: what is not printable is a dot, lines stay.
func appendASCII(b, data []byte) []byte {
	for _, c := range data {
		if !isPrintable(c) && c != '\n' && c != '\t' {
			c = '.'
		}
		b = append(b, c)
	}
	return append(b, '\n')
}
