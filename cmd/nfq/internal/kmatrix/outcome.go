// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// outcome is the result of a guest.
type outcome struct {
	kernel string // release
	jobs   []jobOutcome
	err    error // why not all jobs are there
}

// jobOutcome is the result of a job.
type jobOutcome struct {
	name   string
	status int
	time   string
	output string
	want   string // what output lacks
}

func (j jobOutcome) passed() bool { return j.status == 0 && j.want == "" }

func (j jobOutcome) verdict() string {
	if j.passed() {
		return "ok"
	}
	return "FAIL"
}

// The lines by which the first program of a guest reports. What is between the
// start and the end of a job is its output.
const (
	lineKernel = "kmatrix: kernel "
	lineStart  = "kmatrix: start "
	lineEnd    = "kmatrix: end "
	lineDone   = "kmatrix: done"
)

// readLog reads what a guest wrote to its console.
func readLog(file string, jobs []job) outcome {
	text, err := os.ReadFile(file)
	if err != nil {
		return outcome{err: err}
	}
	o := parseLog(string(bytes.ReplaceAll(text, []byte("\r"), nil)))
	if o.err == nil && len(o.jobs) != len(jobs) {
		o.err = fmt.Errorf("it ran %d programs of %d, see %s", len(o.jobs), len(jobs), file)
	} else if o.err != nil {
		o.err = fmt.Errorf("%w, see %s", o.err, file)
	}
	for i := range min(len(o.jobs), len(jobs)) {
		if want := jobs[i].want; !strings.Contains(o.jobs[i].output, want) {
			o.jobs[i].want = want
		}
	}
	return o
}

func parseLog(log string) (o outcome) {
	var lines []string // since the start of a job
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
			o.jobs = append(o.jobs, jobOutcome{name: running, status: status, time: fields[2],
				output: strings.Join(lines, "\n")})
			running = ""
		} else if line == lineDone {
			done = true
		} else {
			lines = append(lines, line)
		}
	}
	switch {
	case running != "":
		o.err = fmt.Errorf("it died in %s", running)
	case !done:
		o.err = fmt.Errorf("it died")
	}
	return o
}

// details returns the output of the jobs that failed, or of all.
func (o outcome) details(g guest, all bool) string {
	var b strings.Builder
	for _, j := range o.jobs {
		if all || !j.passed() {
			fmt.Fprintf(&b, "--- %s, Linux %s, %s: status %d\n%s\n", g.name, o.kernel, j.name, j.status,
				j.output)
		}
		if j.want != "" {
			fmt.Fprintf(&b, "--- it did not print %q\n", j.want)
		}
	}
	return b.String()
}
