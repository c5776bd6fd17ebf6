// SPDX-License-Identifier: GPL-2.0-or-later

package pcapfilter

import "fmt"

// Error says what is wrong with a filter.
type Error struct {
	Text string // the filter
	Pos  int    // where the word starts, in bytes; the length of Text if a word is missing
	Word string // the word, empty if it is missing
	Why  string
}

// Error points at the word.
func (e *Error) Error() string {
	if e.Word == "" {
		return fmt.Sprintf("filter %q: at the end: %s", e.Text, e.Why)
	}
	return fmt.Sprintf("filter %q: at %q (column %d): %s", e.Text, e.Word, e.Pos+1, e.Why)
}
