// SPDX-License-Identifier: GPL-2.0-or-later

package rules

import (
	"errors"
	"fmt"
)

// ParseError says what Parse did not understand.
type ParseError struct {
	Text string // what was parsed
	Pos  int    // where the word starts, in bytes; the length of Text if a word is missing
	Word string // the word, empty if it is missing
	Err  error  // what was expected, or a *FieldError
}

// Error points at the word and says what was expected.
func (e *ParseError) Error() string {
	if e.Word == "" {
		return fmt.Sprintf("rule %q: at the end: %v", e.Text, e.Err)
	}
	err := e.Err
	var f *FieldError
	if errors.As(err, &f) { // the word tells which field
		err = f.Err
	}
	return fmt.Sprintf("rule %q: at %q (column %d): %v", e.Text, e.Word, e.Pos+1, err)
}

// Unwrap returns what was expected.
func (e *ParseError) Unwrap() error { return e.Err }
