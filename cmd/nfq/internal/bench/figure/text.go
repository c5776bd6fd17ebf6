// SPDX-License-Identifier: GPL-2.0-or-later

package figure

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/bench/consumer"
)

// references are the consumers that others are compared with, in the tables in which they occur.
var references = []struct{ consumer, heading string }{
	{consumer.NoQueueName, "of no queue"},
	{consumer.LibraryName, "of the library"},
	{consumer.FloorName, "of the C floor"},
}

// WriteText writes the tables for reading.
func (r *Results) WriteText(w io.Writer) error {
	m := r.Machine
	var b strings.Builder
	fmt.Fprintf(&b,
		"Linux %s, %s, %d CPUs, %s; medians of %d rounds, minimum to maximum in brackets\n", m.Kernel,
		m.Architecture, m.CPUs, m.Go, r.Rounds)
	workload := ""
	for _, t := range r.Tables {
		if t.Workload != workload {
			workload = t.Workload
			fmt.Fprintf(&b, "\n== %s: %s\n", t.Workload, t.Title)
		}
		fmt.Fprintf(&b, "\n%s\n", t.Situation)
		writeColumns(&b, t.grid())
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// grid returns the cells of the table, headings first.
func (t *Table) grid() [][]string {
	first := t.Metrics[0]
	head := []string{"", first.Name + ", " + first.Unit, ""}
	for _, ref := range references {
		if t.RowOf(ref.consumer) != nil {
			head = append(head, ref.heading)
		}
	}
	for _, m := range t.Metrics[1:] {
		head = append(head, m.Name+", "+m.Unit)
	}
	grid := [][]string{head}
	for _, row := range t.Rows {
		s := row.Spreads[0]
		line := []string{
			row.Consumer,
			Number(s.Median),
			"[" + Number(s.Min) + " to " + Number(s.Max) + "]",
		}
		for _, ref := range references {
			if t.RowOf(ref.consumer) == nil {
				continue
			}
			cell := ""
			if times, ok := t.ratio(row.Consumer, ref.consumer); ok {
				cell = fmt.Sprintf("%.2fx", times)
			}
			line = append(line, cell)
		}
		for _, s := range row.Spreads[1:] {
			line = append(line, Number(s.Median))
		}
		grid = append(grid, line)
	}
	return grid
}

// Number formats a figure with three significant digits, or all before the point.
func Number(f float64) string {
	digits := 0
	for limit := 100.0; digits < 3 && f < limit && f > -limit; limit /= 10 {
		digits++
	}
	if f == 0 {
		digits = 0
	}
	return strconv.FormatFloat(f, 'f', digits, 64)
}

// writeColumns writes cells in columns, the first aligned to the left and the others to the right.
func writeColumns(b *strings.Builder, grid [][]string) {
	widths := make([]int, len(grid[0]))
	for _, line := range grid {
		for i, cell := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, line := range grid {
		for i, cell := range line {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i == 0 {
				b.WriteString("  " + cell + pad)
			} else {
				b.WriteString("  " + pad + cell)
			}
		}
		b.WriteByte('\n')
	}
}
