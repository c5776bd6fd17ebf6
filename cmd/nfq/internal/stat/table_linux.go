// SPDX-License-Identifier: GPL-2.0-or-later

package stat

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// column is one of the table.
type column struct {
	title, short string
	text         bool // aligned to the left
	cell         func(q Queue) string
	// leaves says in which order columns leave a table that is too wide, 0 for never.
	leaves int
}

var columns = []column{
	{title: "QUEUE", short: "Q", cell: func(q Queue) string { return number(uint32(q.Queue)) }},
	{title: "PROCESS", text: true, leaves: 4, cell: Queue.Process},
	{title: "PORT ID", leaves: 2, cell: func(q Queue) string { return number(q.PortID) }},
	{title: "BACKLOG", leaves: 5, cell: func(q Queue) string { return number(q.Backlog) }},
	{title: "COPY", text: true, leaves: 1, cell: Queue.copied},
	{
		title:  "PACKETS/S",
		leaves: 3,
		cell:   func(q Queue) string { return q.rate(func(r *Rates) float64 { return r.Packets }) },
	},
	{
		title: "QUEUE DROPS",
		short: "FULL",
		cell:  func(q Queue) string { return number(q.QueueDropped) },
	},
	{
		title:  "/S",
		leaves: 6,
		cell:   func(q Queue) string { return q.rate(func(r *Rates) float64 { return r.QueueDropped }) },
	},
	{
		title: "SOCKET DROPS",
		short: "SOCK",
		cell:  func(q Queue) string { return number(q.SocketDropped) },
	},
	{
		title:  "/S",
		leaves: 6,
		cell:   func(q Queue) string { return q.rate(func(r *Rates) float64 { return r.SocketDropped }) },
	},
}

// lastToLeave is the highest column.leaves.
const lastToLeave = 6

// leastProcess is how far the names of processes are cut before their column leaves.
const leastProcess = 12

// Table returns the queues as lines of aligned columns, titles first. Lines longer than width, if
// that is not 0, are avoided: the less important columns leave, drops never do.
func (s Snapshot) Table(width int) []string {
	for gone := 0; ; gone++ {
		var left []column
		for _, c := range columns {
			if c.leaves == 0 || c.leaves > gone {
				left = append(left, c)
			}
		}
		if gone > lastToLeave { // all have left that may
			for i := range left {
				if left[i].short != "" {
					left[i].title = left[i].short
				}
			}
			return s.lines(left)
		}
		lines := s.lines(left)
		over := utf8.RuneCountInString(lines[0]) - width
		if width == 0 || over <= 0 {
			return lines
		}
		for i, c := range left {
			if c.title != "PROCESS" {
				continue
			}
			longest := 0
			for _, q := range s.Queues {
				longest = max(longest, utf8.RuneCountInString(c.cell(q)))
			}
			if longest-over >= leastProcess {
				left[i].cell = func(q Queue) string { return shortened(c.cell(q), longest-over) }
				return s.lines(left)
			}
		}
	}
}

// lines returns aligned lines.
func (s Snapshot) lines(all []column) []string {
	rows := make([][]string, 1+len(s.Queues))
	widths := make([]int, len(all))
	for i, c := range all {
		rows[0] = append(rows[0], c.title)
		for n, q := range s.Queues {
			rows[n+1] = append(rows[n+1], c.cell(q))
		}
		for _, row := range rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	lines := make([]string, len(rows))
	for n, row := range rows {
		var b strings.Builder
		for i, cell := range row {
			if i > 0 {
				b.WriteString("  ")
			}
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if all[i].text {
				b.WriteString(cell + pad)
			} else {
				b.WriteString(pad + cell)
			}
		}
		lines[n] = b.String()
	}
	return lines
}

// shortened cuts a text to n characters, the last of which says so.
func shortened(text string, n int) string {
	if r := []rune(text); len(r) > n {
		return string(r[:n-1]) + "~"
	}
	return text
}

func (q Queue) rate(of func(*Rates) float64) string {
	if q.Rates == nil {
		return "-"
	}
	return rate(of(q.Rates))
}

func (q Queue) copied() string {
	if q.CopyRange > 0 {
		return fmt.Sprintf("%s %d", q.CopyMode, q.CopyRange)
	}
	return q.CopyMode
}

// Process names the owners, a question mark if none is visible.
func (q Queue) Process() string {
	var names []string
	for _, o := range q.Owners {
		names = append(names, fmt.Sprintf("%s (%d)", printable(o.Name), o.PID))
	}
	if names == nil {
		return "?"
	}
	return strings.Join(names, ", ")
}

// printable replaces what could disturb a terminal; a process chooses its name.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

func number(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

func rate(r float64) string {
	if r > 0 && r < 10 {
		return strconv.FormatFloat(r, 'f', 1, 64)
	}
	return strconv.FormatFloat(r, 'f', 0, 64)
}
