// SPDX-License-Identifier: GPL-2.0-or-later

package word

import (
	"strconv"
	"strings"
)

// Name returns the name of a value of an enumeration, by its index. A value without a name is
// unnamed, a space and its number.
func Name(v uint8, names []string, unnamed string) string {
	if int(v) < len(names) {
		return names[v]
	}
	return unnamed + " " + strconv.Itoa(int(v))
}

// Bits returns the names of the set bits of v, joined by "|", and "none" for none. Bits without a
// name follow as one hexadecimal number.
func Bits(v uint32, names []string) string {
	if v == 0 {
		return "none"
	}
	var s []string
	for i, n := range names {
		if v&(1<<i) != 0 {
			s = append(s, n)
			v &^= 1 << i
		}
	}
	if v != 0 {
		s = append(s, "0x"+strconv.FormatUint(uint64(v), 16))
	}
	return strings.Join(s, "|")
}
