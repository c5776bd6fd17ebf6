// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"strings"
	"testing"
)

func TestParseLog(t *testing.T) {
	const start = "[    1.0] some line of the kernel's\nkmatrix: kernel 6.1.0\nkmatrix: warning: /modules/x.ko: bad\n"
	ok := packageOutcome{name: ".", time: "3s", output: "PASS"}
	failed := packageOutcome{"./rules", 1, "1m2s", "--- FAIL: TestX (0.00s)\n    x_test.go:1: no\nFAIL"}
	for _, c := range []struct {
		name, log string
		packages  []packageOutcome
		err       string
	}{
		{"all passed", start + "kmatrix: start .\nPASS\nkmatrix: end . 0 3s\nkmatrix: done\n[ 9.9] reboot: Power down", []packageOutcome{ok}, ""},
		{
			"one failed", start + "kmatrix: start .\nPASS\nkmatrix: end . 0 3s\nkmatrix: start ./rules\n" + failed.output + "\nkmatrix: end ./rules 1 1m2s\nkmatrix: done\n",
			[]packageOutcome{ok, failed}, "",
		},
		{"died in a test", start + "kmatrix: start .\nPASS\nkmatrix: end . 0 3s\nkmatrix: start ./rules\nKernel panic", []packageOutcome{ok}, "./rules"},
		{"died between tests", start + "kmatrix: start .\nPASS\nkmatrix: end . 0 3s\nKernel panic", []packageOutcome{ok}, "died"},
		{"never came up", "[ 0.1] Kernel panic", nil, "died"},
		{"the end of another package", start + "kmatrix: start .\nkmatrix: end ./rules 0 3s\nkmatrix: done\n", nil, "reported"},
		{"an end cut off", start + "kmatrix: start .\nkmatrix: end . \nkmatrix: done\n", nil, "reported"},
		{"no status", start + "kmatrix: start .\nkmatrix: end . x 3s\nkmatrix: done\n", nil, "reported"},
	} {
		o := parseLog(c.log)
		if (o.err != nil) != (c.err != "") || o.err != nil && !strings.Contains(o.err.Error(), c.err) {
			t.Errorf("%s: error %v, want %q", c.name, o.err, c.err)
		}
		if len(o.packages) != len(c.packages) {
			t.Errorf("%s: %+v, want %+v", c.name, o.packages, c.packages)
			continue
		}
		for i := range o.packages {
			if o.packages[i] != c.packages[i] {
				t.Errorf("%s: %+v, want %+v", c.name, o.packages[i], c.packages[i])
			}
		}
		if c.name != "never came up" && o.kernel != "6.1.0" {
			t.Errorf("%s: kernel %q", c.name, o.kernel)
		}
	}
}
