// SPDX-License-Identifier: GPL-2.0-or-later

package main

import "testing"

func TestChoose(t *testing.T) {
	var all []testPackage
	for _, folder := range []string{"", "/rules", "/cmd/nfq/internal/stat"} {
		all = append(all, testPackage{ImportPath: libraryPath + folder})
	}
	for only, want := range map[string]int{"": 3, ".": 1, "./cmd/nfq/internal/stat,.": 2} {
		if got, err := choose(all, only); err != nil || len(got) != want {
			t.Errorf("%q: %d packages, %v; want %d", only, len(got), err, want)
		}
	}
	for _, only := range []string{"rules", "./c", ".,"} {
		if got, err := choose(all, only); err == nil {
			t.Errorf("%q: %v and no error", only, got)
		}
	}
}
