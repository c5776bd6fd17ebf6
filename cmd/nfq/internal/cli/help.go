// SPDX-License-Identifier: GPL-2.0-or-later

//go:build linux

package cli

import (
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// helpColumns is how wide help is: it fits the narrowest usual terminal.
const helpColumns = 80

// wrapHelp has the help of c and its subcommands fit helpColumns.
func wrapHelp(c *cobra.Command) {
	c.Long = wrapText(c.Long, helpColumns)
	for _, sub := range c.Commands() {
		wrapHelp(sub)
	}
}

// wrapText breaks the lines of the paragraphs of a text anew. Those with an indented line stay.
func wrapText(text string, columns int) string {
	paragraphs := strings.Split(text, "\n\n")
	for i, p := range paragraphs {
		if strings.HasPrefix(p, " ") || strings.Contains(p, "\n ") {
			continue
		}
		var b strings.Builder
		used := 0
		for _, word := range strings.Fields(p) {
			n := utf8.RuneCountInString(word)
			switch {
			case used == 0:
			case used+1+n > columns:
				b.WriteByte('\n')
				used = 0
			default:
				b.WriteByte(' ')
				used++
			}
			b.WriteString(word)
			used += n
		}
		paragraphs[i] = b.String()
	}
	return strings.Join(paragraphs, "\n\n")
}

// usageTemplate returns cobra's, with the usages of flags broken into lines.
func usageTemplate(root *cobra.Command) string {
	cobra.AddTemplateFunc("wrapFlags",
		func(f *pflag.FlagSet) string { return f.FlagUsagesWrapped(helpColumns) })
	t := root.UsageTemplate()
	for _, flags := range []string{".LocalFlags", ".InheritedFlags"} {
		t = strings.ReplaceAll(t, flags+".FlagUsages", "wrapFlags "+flags)
	}
	return t
}
