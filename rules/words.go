// SPDX-License-Identifier: GPL-2.0-or-later

package rules

import (
	"strings"
	"unicode"
)

// word is a word of a rule in text form and where it starts.
type word struct {
	text string
	pos  int
}

// split returns the words of a text, which white space separates.
func split(text string) []word {
	var words []word
	pos := 0
	for _, w := range strings.FieldsFunc(text, unicode.IsSpace) {
		pos += strings.Index(text[pos:], w)
		words = append(words, word{w, pos})
		pos += len(w)
	}
	return words
}
