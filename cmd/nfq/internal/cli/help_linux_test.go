// SPDX-License-Identifier: GPL-2.0-or-later

package cli

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// TestHelpFits: no line of any help is wider than the narrowest usual terminal, except examples.
func TestHelpFits(t *testing.T) {
	var check func(c *cobra.Command)
	check = func(c *cobra.Command) {
		text := c.Long + "\n" + strings.Replace(c.UsageString(), c.Example, "", 1)
		for line := range strings.Lines(text) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > helpColumns {
				t.Errorf("%s: %d columns: %s", c.CommandPath(), n, line)
			}
		}
		for _, sub := range c.Commands() {
			if sub.Name() != "completion" { // cobra's texts
				check(sub)
			}
		}
	}
	check(newRoot())
}

func TestWrapText(t *testing.T) {
	const text = "one two three\nfour five\n\n    kept as it    is\n\nsix"
	if got, want := wrapText(text, 9), "one two\nthree\nfour five\n\n    kept as it    is\n\nsix"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
