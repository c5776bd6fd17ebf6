// SPDX-License-Identifier: GPL-2.0-or-later

package stat

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/terminal"
)

// noQueues is shown instead of a table.
func (s Snapshot) noQueues() string {
	if s.chosen {
		return "none of these queues is bound"
	}
	return "no queue is bound"
}

// Text writes the queues for people, in lines no longer than width if that is not 0.
func (s Snapshot) Text(w io.Writer, width int) error {
	lines := []string{s.noQueues()}
	if len(s.Queues) > 0 {
		lines = s.Table(width)
	}
	_, err := io.WriteString(w, strings.Join(lines, "\n")+"\n")
	return err
}

// Lines writes the queues, each line after the time, with titles if wanted.
func (s Snapshot) Lines(w io.Writer, withTitles bool) error {
	var b strings.Builder
	for i, line := range s.Table(0) {
		switch {
		case i == 0 && withTitles:
			fmt.Fprintf(&b, "%-8s  %s\n", "TIME", line)
		case i > 0:
			fmt.Fprintf(&b, "%s  %s\n", s.Time.Format(time.TimeOnly), line)
		}
	}
	if len(s.Queues) == 0 {
		fmt.Fprintf(&b, "%s  %s\n", s.Time.Format(time.TimeOnly), s.noQueues())
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Screen shows the queues on a terminal in place of what it showed before.
func (s Snapshot) Screen(out *os.File, title string) error {
	rows, columns := terminal.Size(out)
	lines := append([]string{title + "  " + s.Time.Format(time.DateTime), ""}, s.Table(columns)...)
	if len(s.Queues) == 0 {
		lines = append(lines[:2], s.noQueues())
	}
	_, err := io.WriteString(out, frame(lines, rows, columns))
	return err
}

// frame returns the control sequences (ECMA-48) that replace the contents of a screen, with what
// does not fit left out.
func frame(lines []string, rows, columns int) string {
	const home, clearLine, clearRest = "\x1b[H", "\x1b[K", "\x1b[J"
	room := max(rows-1, 1) // the cursor ends below
	if len(lines) > room {
		more := len(lines) - room + 1
		lines = append(lines[:room-1:room-1], fmt.Sprintf("... %d more", more))
	}
	var b strings.Builder
	b.WriteString(home)
	for _, line := range lines {
		if r := []rune(line); len(r) > columns {
			line = string(r[:columns])
		}
		b.WriteString(line + clearLine + "\n")
	}
	b.WriteString(clearRest)
	return b.String()
}
