// SPDX-License-Identifier: GPL-2.0-or-later

package demo

import (
	"fmt"
	"io"
	"time"

	"github.com/chifflier/nfqueue-go"
)

// screen shows the scenario.
type screen struct {
	out    io.Writer
	colour bool
	err    error // the first of out
}

func (s *screen) printf(format string, args ...any) {
	if s.err == nil {
		_, s.err = fmt.Fprintf(s.out, format, args...)
	}
}

// Colours of ECMA-48 (SGR).
const (
	red    = 31
	green  = 32
	yellow = 33
	cyan   = 36
)

func (s *screen) paint(colour int, text string) string {
	if !s.colour {
		return text
	}
	return fmt.Sprintf("\x1b[%dm%s\x1b[0m", colour, text)
}

// line is a packet on the screen.
type line struct {
	time                time.Duration // since the start
	queue               uint16
	id                  uint32
	hook                nfqueue.Hook
	in, out             string
	source, destination string
	protocol            string
	length              int // before it was edited
	decision
}

const lineFormat = "%8s %5v %4v  %-7v  %-15s  %-21s  %-21s  %-19s  %6v  %s\n"

func (s *screen) packetHeader() {
	s.printf(lineFormat, "TIME", "QUEUE", "ID", "HOOK", "IN>OUT", "SOURCE", "DESTINATION", "PROTOCOL", "LENGTH", "VERDICT")
}

func (s *screen) packet(l line) {
	verdict := l.verdict.String()
	if l.what != "" {
		verdict += ", " + l.what
	}
	switch {
	case l.verdict == nfqueue.Drop:
		verdict = s.paint(red, verdict)
	case l.edit == rewritten:
		verdict = s.paint(yellow, verdict)
	case l.edit == marked:
		verdict = s.paint(cyan, verdict)
	}
	s.printf(lineFormat, fmt.Sprintf("%.6f", l.time.Seconds()), l.queue, l.id, l.hook, l.in+">"+l.out,
		l.source, l.destination, l.protocol, l.length, verdict)
}
