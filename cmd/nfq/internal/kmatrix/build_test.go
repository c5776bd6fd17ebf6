// SPDX-License-Identifier: GPL-2.0-or-later

package main

import "testing"

func TestChoose(t *testing.T) {
	var all []testPackage
	for _, path := range []string{"example.org/m", "example.org/m/a", "example.org/m/a/b"} {
		p := testPackage{ImportPath: path}
		p.Module.Path = "example.org/m"
		all = append(all, p)
	}
	for only, want := range map[string]int{"": 3, ".": 1, "./a/b,.": 2} {
		if got, err := choose(all, only); err != nil || len(got) != want {
			t.Errorf("%q: %d packages, %v; want %d", only, len(got), err, want)
		}
	}
	for _, only := range []string{"a", "./c", ".,"} {
		if got, err := choose(all, only); err == nil {
			t.Errorf("%q: %v and no error", only, got)
		}
	}
}
