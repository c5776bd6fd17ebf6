// SPDX-License-Identifier: GPL-2.0-or-later

package figure

import (
	"fmt"
	"html"
	"os"
	"path/filepath"
	"strings"

	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/bench/consumer"
)

// Sizes in a chart, in pixels.
const (
	chartWidth = 760
	labelWidth = 250
	valueWidth = 90
	barWidth   = chartWidth - labelWidth - valueWidth
	barHeight  = 14
	rowHeight  = 20
	headHeight = 34
)

const chartStyle = `text { font: 12px system-ui, sans-serif; fill: #24292f }
.head { font-weight: 600 }
.bar { fill: #a8b1bb }
.ours { fill: #0a7ea4 }
.spread { stroke: #24292f; stroke-width: 1 }
@media (prefers-color-scheme: dark) { text { fill: #d0d7de } .bar { fill: #57606a } .ours { fill: #3ba7cc } .spread { stroke: #d0d7de } }`

// WriteSVG draws the first metric of each table as bars, and those to be drawn besides, one file a
// workload, into a directory.
func (r *Results) WriteSVG(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	byWorkload := make(map[string][]*Table)
	for _, t := range r.Tables {
		byWorkload[t.Workload] = append(byWorkload[t.Workload], t)
	}
	for workload, tables := range byWorkload {
		if err := os.WriteFile(filepath.Join(dir, workload+".svg"), []byte(chart(tables)),
			0o644); err != nil {
			return err
		}
	}
	return nil
}

// chart draws the tables one below the other.
func chart(tables []*Table) string {
	var body strings.Builder
	y := 0
	for _, t := range tables {
		for i, m := range t.Metrics {
			if i == 0 || m.Drawn {
				y = t.draw(&body, i, y)
			}
		}
	}
	return fmt.Sprintf(
		`<svg xmlns="http://www.w3.org/2000/svg" width="%[1]d" height="%[2]d" viewBox="0 0 %[1]d %[2]d" role="img" aria-label="%[3]s">
<style>%[4]s</style>
%[5]s</svg>
`,
		chartWidth,
		y+10,
		html.EscapeString(tables[0].Title),
		chartStyle,
		body.String(),
	)
}

// draw draws metric m of the table from y downwards, and returns where it ends.
func (t *Table) draw(b *strings.Builder, m, y int) int {
	metric := t.Metrics[m]
	heading := fmt.Sprintf("%s: %s, %s", t.Situation, metric.Name, metric.Unit)
	if metric.Less {
		heading += " (less is better)"
	}
	fmt.Fprintf(b, "<text class=\"head\" x=\"4\" y=\"%d\">%s</text>\n", y+headHeight-10,
		html.EscapeString(heading))
	y += headHeight
	var most float64
	for _, row := range t.Rows {
		most = max(most, row.Spreads[m].Max)
	}
	if most == 0 {
		most = 1
	}
	for _, row := range t.Rows {
		s := row.Spreads[m]
		at := func(f float64) float64 { return labelWidth + f/most*barWidth }
		class := "bar"
		if strings.HasPrefix(row.Consumer, consumer.OurName) {
			class += " ours"
		}
		middle := float64(y) + barHeight/2
		fmt.Fprintf(b, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>", labelWidth-8, y+11,
			html.EscapeString(row.Consumer))
		fmt.Fprintf(b, "<rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\"/>", class,
			labelWidth, y, at(s.Median)-labelWidth, barHeight)
		fmt.Fprintf(b, "<path class=\"spread\" d=\"M%.1f %.1fH%.1f\"/>", at(s.Min), middle, at(s.Max))
		fmt.Fprintf(b, "<text x=\"%.1f\" y=\"%d\">%s</text>\n", at(s.Max)+6, y+11, Number(s.Median))
		y += rowHeight
	}
	return y
}
