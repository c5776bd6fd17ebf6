// SPDX-License-Identifier: GPL-2.0-or-later

package stat

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// titles are those of the columns.
var titles = []string{"QUEUE", "PROCESS", "PORT ID", "BACKLOG", "COPY", "PACKETS/S", "QUEUE DROPS", "/S", "SOCKET DROPS", "/S"}

// left says which columns are text.
var left = map[int]bool{1: true, 4: true}

// Table returns the queues as lines of aligned columns, titles first.
func (s Snapshot) Table() []string {
	rows := [][]string{titles}
	for _, q := range s.Queues {
		rows = append(rows, q.row())
	}
	widths := make([]int, len(titles))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
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
			if left[i] {
				b.WriteString(cell + pad)
			} else {
				b.WriteString(pad + cell)
			}
		}
		lines[n] = b.String()
	}
	return lines
}

func (q Queue) row() []string {
	packets, full, lost := "-", "-", "-"
	if q.Rates != nil {
		packets, full, lost = rate(q.Rates.Packets), rate(q.Rates.QueueDropped), rate(q.Rates.SocketDropped)
	}
	copied := q.CopyMode
	if q.CopyRange > 0 {
		copied = fmt.Sprintf("%s %d", q.CopyMode, q.CopyRange)
	}
	return []string{
		number(uint32(q.Queue)), q.Process(), number(q.PortID), number(q.Backlog), copied, packets,
		number(q.QueueDropped), full, number(q.SocketDropped), lost,
	}
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
