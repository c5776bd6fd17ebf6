// SPDX-License-Identifier: GPL-2.0-or-later

package probe

import (
	"fmt"
	"io"
	"strings"
)

// Severity says how bad a finding is.
type Severity string

// Severities, from nothing to do to the worst.
const (
	OK      Severity = "ok"
	Info    Severity = "info"    // worth knowing
	Warning Severity = "warning" // may become a problem
	Unknown Severity = "unknown" // could not be checked
	Problem Severity = "problem" // packets are lost, or NFQUEUE cannot be used
)

// Finding is the result of a check.
type Finding struct {
	Check    string   `json:"check"` // a name that stays the same, such as "flag-conntrack"
	Severity Severity `json:"severity"`
	Text     string   `json:"text"`
	Fix      string   `json:"fix,omitempty"` // what to do
}

// Report is all findings, in the order of the checks.
type Report struct {
	Findings []Finding `json:"findings"`
}

func (r *Report) add(check string, s Severity, fix, format string, args ...any) {
	r.Findings = append(r.Findings,
		Finding{Check: check, Severity: s, Text: fmt.Sprintf(format, args...), Fix: fix})
}

// Count returns how many findings are of a severity.
func (r *Report) Count(s Severity) (n int) {
	for _, f := range r.Findings {
		if f.Severity == s {
			n++
		}
	}
	return n
}

// WriteText writes the findings for people.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%-8s %s\n", f.Severity, f.Text)
		if f.Fix != "" {
			fmt.Fprintf(&b, "%-8s   -> %s\n", "", f.Fix)
		}
	}
	fmt.Fprintf(&b, "\nproblems: %d, warnings: %d, not checked: %d\n", r.Count(Problem),
		r.Count(Warning), r.Count(Unknown))
	_, err := io.WriteString(w, b.String())
	return err
}
