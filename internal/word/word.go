// SPDX-License-Identifier: GPL-2.0-or-later

// Package word splits lines into words, with their positions for errors that point at them, finds
// the word that a mistyped one was meant to be, quotes words for a shell, and names the values of
// enumerations and the bits of sets.
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

// Split returns the words of a line. White space separates them.
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
