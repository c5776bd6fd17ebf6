// SPDX-License-Identifier: GPL-2.0-or-later

//go:build linux

package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/impair"
)

// impairScreen shows the counters of a session: as a table that is drawn again on a terminal, as lines elsewhere, or as JSON.
type impairScreen struct {
	session  *impair.Session
	out      io.Writer
	json     bool
	terminal bool
	err      error // the first one in writing

	drawn    int // lines of the table on the screen
	seen     []impair.Report
	at       time.Duration // of seen
	settings []impair.Settings
}

func newImpairScreen(out *os.File, json bool, session *impair.Session) *impairScreen {
	return &impairScreen{session: session, out: out, json: json, terminal: !json && terminal(out)}
}

func (s *impairScreen) printf(format string, args ...any) {
	if _, err := fmt.Fprintf(s.out, format, args...); err != nil && s.err == nil {
		s.err = err
	}
}

// begin says what is done, and how to end it.
func (s *impairScreen) begin(seed uint64, end string) {
	s.seen = s.session.Report()
	for _, r := range s.seen {
		s.settings = append(s.settings, r.Settings)
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

// watch shows the counters until ctx ends.
func (s *impairScreen) watch(ctx context.Context, interval time.Duration) {
	if interval == 0 {
		<-ctx.Done()
		return
	}
	ticks := time.NewTicker(interval)
	defer ticks.Stop()
	for {
		select {
		case <-ticks.C:
			s.show(false)
		case <-ctx.Done():
			return
		}
	}
}

// end shows the counters of a session that has ended.
func (s *impairScreen) end() { s.show(true) }

func (s *impairScreen) show(last bool) {
	reports, at := s.session.Report(), s.session.Elapsed()
	switch {
	case s.json:
		s.encode(impairLine(reports, at, last))
	case s.terminal || last:
		s.draw(reports, at, last)
	default:
		s.changes(reports, at)
		for _, r := range reports {
			s.printf("%6.1fs  %-5v  %s\n", at.Seconds(), r.Way, countersText(r))
		}
	}
	s.seen, s.at = reports, at
}

// changes says which settings a schedule has changed.
func (s *impairScreen) changes(reports []impair.Report, at time.Duration) {
	for i, r := range reports {
		if r.Settings != s.settings[i] {
			s.settings[i] = r.Settings
			s.printf("%6.1fs  %-5v  now %v\n", at.Seconds(), r.Way, r.Settings)
		}
	}
}

// draw draws the table in the place of the one before.
func (s *impairScreen) draw(reports []impair.Report, at time.Duration, last bool) {
	if s.drawn > 0 {
		s.printf("\x1b[%dA\x1b[J", s.drawn)
	}
	s.changes(reports, at)
	table := s.table(reports, at, last)
	if s.terminal {
		s.drawn = strings.Count(table, "\n")
	}
	s.printf("%s", table)
	if !last {
		return
	}
	for _, r := range reports {
		if late := r.Counters.Late; late.Max > 0 {
			s.printf("%v: packets went on %s late in the median, %s at the 99th percentile, %s at most\n",
				r.Way, microseconds(late.Median), microseconds(late.P99), microseconds(late.Max))
		}
		if r.Overrun > 0 {
			s.printf("%v: %d packets more were dropped unseen: they came faster than they could be handled\n", r.Way, r.Overrun)
		}
	}
}

// table returns the counters, with the rates since the last time, or in all.
func (s *impairScreen) table(reports []impair.Report, at time.Duration, last bool) string {
	var b bytes.Buffer
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "%.1fs\tpackets\tbytes\tpassed\tlost\tfull\tcorrupt\tcut\tahead\twaiting\tpackets/s\tbit/s\t\n", at.Seconds())
	for i, r := range reports {
		var before impair.Counters
		took := at
		if !last && i < len(s.seen) {
			before, took = s.seen[i].Counters, at-s.at
		}
		c := r.Counters
		fmt.Fprintf(t, "%v\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%.0f\t%s\t\n",
			r.Way, c.Packets, c.Bytes, c.Passed, c.Lost, c.Full, c.Corrupted, c.Truncated, c.Reordered, c.Waiting,
			perSecond(c.Passed-before.Passed, took), bitRate(perSecond(8*(c.PassedBytes-before.PassedBytes), took)))
	}
	_ = t.Flush() // to memory
	return b.String()
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
	return strconv.FormatFloat(float64(d)/float64(time.Microsecond), 'f', 0, 64) + " µs"
}

// countersText returns the counters that are not zero.
func countersText(r impair.Report) string {
	c := r.Counters
	text := fmt.Sprintf("%d packets, %d bytes, %d passed", c.Packets, c.Bytes, c.Passed)
	for _, n := range []struct {
		count uint64
		name  string
	}{
		{c.Lost, "lost"}, {c.Full, "full"}, {c.Corrupted, "corrupt"}, {c.Truncated, "cut"}, {c.Reordered, "ahead"},
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
