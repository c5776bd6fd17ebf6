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
	all    bool  // every packet, not some of each kind
	err    error // the first of out

	seen map[kind]int
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
	kind
	family              nfqueue.Family
	time                time.Duration // since the start
	id                  uint32
	source, destination string
	protocol            string
	length              int // before it was edited
	decision
}

// columns is how wide the lines are at most.
const columns = 100

const lineFormat = "%8s %3v %-3v %-12s %-12s  %-14s %6v  %s\n"

func (s *screen) packetHeader() {
	s.printf(lineFormat, "TIME", "ID", "IP", "SOURCE", "DESTINATION", "PROTOCOL", "LENGTH", "VERDICT")
}

// enough returns how many packets of a kind are shown, which suffice to see what happens to it.
func enough(k kind) int {
	switch k {
	case markerThere, markerBack:
		return 0
	case echoRequest:
		return 3
	}
	return 1
}

// wants reports whether a packet is shown. IPv6 is treated as IPv4 is.
func (s *screen) wants(l line) bool {
	if s.all {
		return true
	}
	if l.family != nfqueue.FamilyIPv4 || l.kind == tcpToClient && l.what == "" {
		return false
	}
	if s.seen == nil {
		s.seen = make(map[kind]int)
	}
	s.seen[l.kind]++
	return s.seen[l.kind] <= enough(l.kind)
}

func (s *screen) packet(l line) {
	if !s.wants(l) {
		return
	}
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
	s.printf(lineFormat, fmt.Sprintf("%.6f", l.time.Seconds()), l.id, l.family,
		l.source, l.destination, l.protocol, l.length, verdict)
}
