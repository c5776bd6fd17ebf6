// SPDX-License-Identifier: GPL-2.0-or-later

package word

import "testing"

func TestClosest(t *testing.T) {
	words := []string{"dport", "in", "prerouting", "sport"}
	for mistyped, want := range map[string]string{
		"dprot":      "dport",
		"Sport":      "sport",
		"preruoting": "prerouting",
		"prerout":    "", // too many letters are missing
		"im":         "", // too short
		"quota":      "",
		"":           "",
	} {
		if got := Closest(mistyped, words); got != want {
			t.Errorf("%q: %q, want %q", mistyped, got, want)
		}
	}
}
