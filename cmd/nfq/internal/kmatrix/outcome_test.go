// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"strings"
	"testing"
)

func TestParseLog(t *testing.T) {
	const start = "[    1.0] some line of the kernel's\nkmatrix: kernel 6.1.0\nkmatrix: warning: /modules/x.ko: bad\n"
	ok := jobOutcome{name: ".", time: "3s", output: "PASS"}
	failed := jobOutcome{name: "./rules", status: 1, time: "1m2s",
		output: "--- FAIL: TestX (0.00s)\n    x_test.go:1: no\nFAIL"}
	for _, c := range []struct {
		name, log string
		jobs      []jobOutcome
		err       string
	}{
		{"all passed", start + "kmatrix: start .\nPASS\nkmatrix: end . 0 3s\nkmatrix: done\n[ 9.9] reboot: Power down", []jobOutcome{ok}, ""},
		{
			"one failed", start + "kmatrix: start .\nPASS\nkmatrix: end . 0 3s\nkmatrix: start ./rules\n" +
				failed.output + "\nkmatrix: end ./rules 1 1m2s\nkmatrix: done\n",
			[]jobOutcome{ok, failed}, "",
		},
		{"died in a test", start + "kmatrix: start .\nPASS\nkmatrix: end . 0 3s\nkmatrix: start ./rules\nKernel panic", []jobOutcome{ok}, "./rules"},
		{"died between tests", start + "kmatrix: start .\nPASS\nkmatrix: end . 0 3s\nKernel panic",
			[]jobOutcome{ok}, "died"},
		{"never came up", "[ 0.1] Kernel panic", nil, "died"},
		{"the end of another package", start + "kmatrix: start .\nkmatrix: end ./rules 0 3s\nkmatrix: done\n", nil, "reported"},
		{"an end cut off", start + "kmatrix: start .\nkmatrix: end . \nkmatrix: done\n", nil, "reported"},
		{"no status", start + "kmatrix: start .\nkmatrix: end . x 3s\nkmatrix: done\n", nil, "reported"},
	} {
		o := parseLog(c.log)
		if (o.err != nil) != (c.err != "") || o.err != nil && !strings.Contains(o.err.Error(), c.err) {
			t.Errorf("%s: error %v, want %q", c.name, o.err, c.err)
		}
		if len(o.jobs) != len(c.jobs) {
			t.Errorf("%s: %+v, want %+v", c.name, o.jobs, c.jobs)
			continue
		}
		for i := range o.jobs {
			if o.jobs[i] != c.jobs[i] {
				t.Errorf("%s: %+v, want %+v", c.name, o.jobs[i], c.jobs[i])
			}
		}
		if c.name != "never came up" && o.kernel != "6.1.0" {
			t.Errorf("%s: kernel %q", c.name, o.kernel)
		}
	}
}

func TestDetails(t *testing.T) {
	o := outcome{kernel: "6.1.0", jobs: []jobOutcome{{name: ".", output: "=== RUN   TestX"},
		{name: "./rules", status: 1, output: "no"}}}
	const failed = "--- amd64-6.1, Linux 6.1.0, ./rules: status 1\nno\n"
	for all, want := range map[bool]string{
		false: failed,
		true:  "--- amd64-6.1, Linux 6.1.0, .: status 0\n=== RUN   TestX\n" + failed,
	} {
		if got := o.details(guest{name: "amd64-6.1"}, all); got != want {
			t.Errorf("all %v: %q", all, got)
		}
	}
}
