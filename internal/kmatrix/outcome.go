// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// outcome is what came of a guest.
type outcome struct {
	kernel   string // release
	packages []packageOutcome
	err      error // why not all packages are there
}

// packageOutcome is what came of the tests of a package.
type packageOutcome struct {
	name   string
	status int
	time   string
	output string
}

func (p packageOutcome) passed() bool { return p.status == 0 }

func (p packageOutcome) verdict() string {
	if p.passed() {
		return "ok"
	}
	return "FAIL"
}

// The lines by which the first program of a guest reports. What is between the
// start and the end of a package is the output of its tests.
const (
	lineKernel = "kmatrix: kernel "
	lineStart  = "kmatrix: start "
	lineEnd    = "kmatrix: end "
	lineDone   = "kmatrix: done"
)

// readLog reads what a guest wrote to its console.
func readLog(file string, tests []testBinary) outcome {
	text, err := os.ReadFile(file)
	if err != nil {
		return outcome{err: err}
	}
	o := parseLog(string(bytes.ReplaceAll(text, []byte("\r"), nil)))
	if o.err == nil && len(o.packages) != len(tests) {
		o.err = fmt.Errorf("it ran %d packages of %d, see %s", len(o.packages), len(tests), file)
	} else if o.err != nil {
		o.err = fmt.Errorf("%w, see %s", o.err, file)
	}
	return o
}

func parseLog(log string) (o outcome) {
	var lines []string // since the start of a package
	running, done := "", false
	for line := range strings.Lines(log) {
		line = strings.TrimSuffix(line, "\n")
		if release, ok := strings.CutPrefix(line, lineKernel); ok {
			o.kernel = release
		} else if name, ok := strings.CutPrefix(line, lineStart); ok {
			running, lines = name, nil
		} else if report, ok := strings.CutPrefix(line, lineEnd); ok {
			// name, status, time
			fields := strings.Fields(report)
			if len(fields) != 3 || fields[0] != running {
				o.err = fmt.Errorf("it reported %.100q", line)
				return o
			}
			status, err := strconv.Atoi(fields[1])
			if err != nil {
				o.err = fmt.Errorf("it reported %.100q", line)
				return o
			}
			o.packages = append(o.packages, packageOutcome{running, status, fields[2], strings.Join(lines, "\n")})
			running = ""
		} else if line == lineDone {
			done = true
		} else {
			lines = append(lines, line)
		}
	}
	switch {
	case running != "":
		o.err = fmt.Errorf("it died in the tests of %s", running)
	case !done:
		o.err = fmt.Errorf("it died")
	}
	return o
}

// details returns the output of the packages that failed.
func (o outcome) details(g guest) string {
	var b strings.Builder
	for _, p := range o.packages {
		if !p.passed() {
			fmt.Fprintf(&b, "--- %s, Linux %s, %s: status %d\n%s\n", g.name, o.kernel, p.name, p.status, p.output)
		}
	}
	return b.String()
}
