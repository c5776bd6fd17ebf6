// SPDX-License-Identifier: GPL-2.0-or-later

//go:build unix

package word

import (
	"os/exec"
	"testing"
)

// TestQuote has a shell read the words.
func TestQuote(t *testing.T) {
	for _, w := range []string{"", "-A", "1:2", "a b", "it's", "$HOME", `"\`, "*", "a\nb", "~"} {
		got, err := exec.Command("sh", "-c", "printf %s "+Quote(w)).Output()
		if err != nil || string(got) != w {
			t.Errorf("%q: the shell reads %q, %v", w, got, err)
		}
	}
}
