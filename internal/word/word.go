// SPDX-License-Identifier: GPL-2.0-or-later

// Package word splits what people write into words and remembers where each one is, for
// errors that point at it.
package word

import (
	"strings"
	"unicode"
)

// Word is a word of a line.
type Word struct {
	Text string
	Pos  int // where it starts, in bytes
}

// Split returns the words of a line, which white space separates.
func Split(line string) []Word {
	var words []Word
	pos := 0
	for _, w := range strings.FieldsFunc(line, unicode.IsSpace) {
		pos += strings.Index(line[pos:], w)
		words = append(words, Word{w, pos})
		pos += len(w)
	}
	return words
}
