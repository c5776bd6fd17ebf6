// SPDX-License-Identifier: GPL-2.0-or-later

//go:build linux

package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/impair"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/terminal"
	"golang.org/x/sys/unix"
)

// impairScreen shows the counters of a session: as a table that is drawn again on a terminal, as
// lines elsewhere, or as JSON. It may be used by several goroutines.
type impairScreen struct {
	session *impair.Session
	out     io.Writer
	json    bool
	columns func() int // of the terminal, nil if out is none

	mu    sync.Mutex
	err   error    // the first one in writing
	drawn []string // lines of the table on the terminal
	seen  []impair.Report
	at    time.Duration // of seen
}

func newImpairScreen(out *os.File, json bool, session *impair.Session) *impairScreen {
	s := &impairScreen{session: session, out: out, json: json}
	if !json && terminal.Is(out) {
		s.columns = func() int {
			_, columns := terminal.Size(out)
			return columns
		}
	}
	return s
}

func (s *impairScreen) printf(format string, args ...any) {
	text := terminal.Plain(fmt.Sprintf(format, args...))
	if _, err := io.WriteString(s.out, text); err != nil && s.err == nil {
		s.err = err
	}
}

// begin says what is done, and how to end it.
func (s *impairScreen) begin(seed uint64, end string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = s.session.Report()
	for _, r := range s.seen {
		var texts []string
		for _, rule := range r.Rules {
			texts = append(texts, rule.String())
		}
		if !s.json {
			s.printf("%-5v  %s: %v\n", r.Way, strings.Join(texts, " or "), r.Settings)
		}
	}
	if !s.json {
		s.printf("seed %d%s\n", seed, end)
		return
	}
	type way struct {
		Name  string   `json:"way"`
		Rules []string `json:"rules"`
		Queue uint16   `json:"queue"`
	}
	line := struct {
		Event string `json:"event"`
		Seed  uint64 `json:"seed"`
		Ways  []way  `json:"ways"`
	}{Event: "start", Seed: seed}
	for _, r := range s.seen {
		w := way{Name: r.Way.String(), Queue: r.Queue}
		for _, rule := range r.Rules {
			w.Rules = append(w.Rules, rule.String())
		}
		line.Ways = append(line.Ways, w)
	}
	s.encode(line)
}

// watch shows the counters until ctx ends or they cannot be written, also when the terminal asks
// for it.
func (s *impairScreen) watch(ctx context.Context, interval time.Duration) {
	if interval == 0 {
		if s.failed() == nil {
			<-ctx.Done()
		}
		return
	}
	ticks := time.NewTicker(interval)
	defer ticks.Stop()
	redraw, stop := terminal.Redraws()
	defer stop()
	if s.columns != nil {
		s.show(false)
	}
	for s.failed() == nil {
		select {
		case <-ticks.C:
			s.show(false)
		case signal := <-redraw:
			if signal == unix.SIGWINCH {
				s.redraw()
			}
		case <-ctx.Done():
			return
		}
	}
}

// failed returns the first error in writing.
func (s *impairScreen) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// redraw draws the table again, with present counters.
func (s *impairScreen) redraw() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.drawn != nil {
		s.draw(s.session.Report(), s.session.Elapsed(), false)
	}
}

// resume has the session impair packets again after a stop, and draws the table below what the
// shell has written.
func (s *impairScreen) resume() error {
	err := s.session.Resume()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.drawn != nil {
		s.drawn = nil
		s.draw(s.session.Report(), s.session.Elapsed(), false)
	}
	return err
}

// end shows the counters of a session that has ended.
func (s *impairScreen) end() { s.show(true) }

func (s *impairScreen) show(last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	reports, at := s.session.Report(), s.session.Elapsed()
	switch {
	case s.json:
		s.encode(impairLine(reports, at, last))
	case s.columns != nil || last:
		s.draw(reports, at, last)
	default:
		for _, r := range reports {
			s.printf("%6.1fs  %-5v  %s\n", at.Seconds(), r.Way, countersText(r))
		}
	}
	s.seen, s.at = reports, at
}

// change says which settings the schedule has changed.
func (s *impairScreen) change(c impair.Change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.json {
		s.encode(struct {
			Event    string  `json:"event"`
			Seconds  float64 `json:"seconds"`
			Way      string  `json:"way"`
			Settings string  `json:"settings"`
		}{"settings", c.At.Seconds(), c.Way.String(), c.Settings.String()})
		return
	}
	table := s.drawn
	s.erase()
	s.printf("%6.1fs  %-5v  now %v\n", c.At.Seconds(), c.Way, c.Settings)
	s.put(table)
}

// erase removes the table from the terminal. One that has become narrower has wrapped its lines.
func (s *impairScreen) erase() {
	rows := 0
	for _, line := range s.drawn {
		rows += 1 + max(len(line)-1, 0)/max(s.columns(), 1)
	}
	if rows > 0 {
		s.printf("\x1b[%dA\x1b[J", rows)
	}
	s.drawn = nil
}

// put writes the lines of a table.
func (s *impairScreen) put(lines []string) {
	for _, line := range lines {
		s.printf("%s\n", line)
	}
	if s.columns != nil {
		s.drawn = lines
	}
}

// draw draws the table in the place of the one before.
func (s *impairScreen) draw(reports []impair.Report, at time.Duration, last bool) {
	s.erase()
	s.put(s.table(reports, at, last))
	if !last {
		return
	}
	for _, r := range reports {
		if late := r.Counters.Late; late.Max > 0 {
			s.printf("%v: packets went on %s late in the median, %s at the 99th percentile, %s at most\n",
				r.Way, microseconds(late.Median), microseconds(late.P99), microseconds(late.Max))
		}
		if r.Overrun > 0 {
			s.printf("%v: %d packets more were dropped unseen: they came faster than nfq can decide\n",
				r.Way, r.Overrun)
		}
	}
}

// tableColumn is a title and a cell for each way.
type tableColumn struct {
	title string
	cells []string
}

// leaving are the columns that leave a table with too little room if they have zeros only, first
// the first.
var leaving = []string{
	"cut", "corrupt", "ahead", "full", "waiting", "bytes", "bit/s", "packets/s", "lost",
}

func (c *tableColumn) width() int {
	width := len(c.title)
	for _, cell := range c.cells {
		width = max(width, len(cell))
	}
	return width
}

func (c *tableColumn) zero() bool {
	return !slices.ContainsFunc(c.cells, func(cell string) bool { return cell != "0" })
}

// table returns the counters, with the rates since the last time, or in all, in lines that fit the
// terminal: columns of zeros leave if there is no room, then the table is folded.
func (s *impairScreen) table(reports []impair.Report, at time.Duration, last bool) []string {
	ways := tableColumn{title: fmt.Sprintf("%.1fs", at.Seconds())}
	titles := []string{
		"packets", "bytes", "passed", "lost", "full", "corrupt", "cut", "ahead", "waiting", "packets/s",
		"bit/s",
	}
	all := make([]tableColumn, len(titles))
	for i, title := range titles {
		all[i] = tableColumn{title: title}
	}
	for i, r := range reports {
		var before impair.Counters
		took := at
		if !last && i < len(s.seen) {
			before, took = s.seen[i].Counters, at-s.at
		}
		c := r.Counters
		ways.cells = append(ways.cells, r.Way.String())
		counts := []uint64{
			c.Packets, c.Bytes, c.Passed, c.Lost, c.Full, c.Corrupted, c.Truncated, c.Reordered, c.Waiting,
		}
		for n, count := range counts {
			all[n].cells = append(all[n].cells, strconv.FormatUint(count, 10))
		}
		n := len(counts)
		all[n].cells = append(all[n].cells,
			strconv.FormatFloat(perSecond(c.Passed-before.Passed, took), 'f', 0, 64))
		all[n+1].cells = append(all[n+1].cells,
			bitRate(perSecond(8*(c.PassedBytes-before.PassedBytes), took)))
	}
	if s.columns == nil {
		return tableLines(ways, all)
	}
	return fitted(ways, all, s.columns())
}

// gap is between the columns of a table.
const gap = 2

// fitted returns the lines of a table that is no wider than width, if that can be.
func fitted(first tableColumn, all []tableColumn, width int) (lines []string) {
	total := func() (n int) {
		n = gap + first.width()
		for i := range all {
			n += gap + all[i].width()
		}
		return n
	}
	for _, title := range leaving {
		if total() > width {
			all = slices.DeleteFunc(all, func(c tableColumn) bool { return c.title == title && c.zero() })
		}
	}
	for len(all) > 0 {
		n, used := 0, gap+first.width()
		for n < len(all) && (n == 0 || used+gap+all[n].width() <= width) {
			used += gap + all[n].width()
			n++
		}
		lines = append(lines, tableLines(first, all[:n])...)
		all = all[n:]
	}
	return lines
}

// tableLines returns the lines of a table, aligned to the right.
func tableLines(first tableColumn, all []tableColumn) []string {
	lines := make([]string, 1+len(first.cells))
	for _, c := range append([]tableColumn{first}, all...) {
		for i, cell := range append([]string{c.title}, c.cells...) {
			lines[i] += fmt.Sprintf("%*s", gap+c.width(), cell)
		}
	}
	return lines
}

func perSecond(n uint64, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return float64(n) / d.Seconds()
}

// bitRate returns bits per second with three digits or more.
func bitRate(v float64) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if v >= unit.size {
			return strconv.FormatFloat(v/unit.size, 'f', 2, 64) + unit.name
		}
	}
	return strconv.FormatFloat(v, 'f', 0, 64)
}

func microseconds(d time.Duration) string {
	return strconv.FormatFloat(
		float64(d)/float64(time.Microsecond),
		'f',
		0,
		64,
	) + " µs"
}

// countersText returns the counters that are not zero.
func countersText(r impair.Report) string {
	c := r.Counters
	text := fmt.Sprintf("%d packets, %d bytes, %d passed", c.Packets, c.Bytes, c.Passed)
	for _, n := range []struct {
		count uint64
		name  string
	}{
		{c.Lost, "lost"}, {c.Full, "full"}, {c.Corrupted, "corrupt"}, {c.Truncated, "cut"},
		{c.Reordered, "ahead"},
		{c.Waiting, "waiting"}, {r.Overrun, "unseen"},
	} {
		if n.count > 0 {
			text += fmt.Sprintf(", %d %s", n.count, n.name)
		}
	}
	return text
}

// impairLine returns a line of JSON with the counters.
func impairLine(reports []impair.Report, at time.Duration, last bool) any {
	type way struct {
		Way      string `json:"way"`
		Settings string `json:"settings"`
		impair.Counters
		Overrun uint64 `json:"unseen"`
	}
	line := struct {
		Event   string  `json:"event"`
		Seconds float64 `json:"seconds"`
		Ways    []way   `json:"ways"`
	}{Event: "counters", Seconds: at.Seconds()}
	if last {
		line.Event = "end"
	}
	for _, r := range reports {
		line.Ways = append(line.Ways, way{r.Way.String(), r.Settings.String(), r.Counters, r.Overrun})
	}
	return line
}

func (s *impairScreen) encode(line any) {
	if err := json.NewEncoder(s.out).Encode(line); err != nil && s.err == nil {
		s.err = err
	}
}
