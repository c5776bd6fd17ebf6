// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// unpackCpio reads an archive back: a line for each entry.
func unpackCpio(t *testing.T, b []byte) (entries []string) {
	t.Helper()
	const header = 6 + 13*8
	aligned := func(n int) int { return (n + 3) &^ 3 }
	for at := 0; ; {
		var f [13]int
		if string(b[at:at+6]) != "070701" {
			t.Fatalf("no header at %d", at)
		}
		for i := range f {
			if _, err := fmt.Sscanf(string(b[at+6+i*8:at+14+i*8]), "%x", &f[i]); err != nil {
				t.Fatal(err)
			}
		}
		name := string(b[at+header : at+header+f[11]-1])
		data := at + aligned(header+f[11])
		if name == "TRAILER!!!" {
			return entries
		}
		entries = append(entries, fmt.Sprintf("%s %o %d:%d %q", name, f[1], f[9], f[10],
			b[data:data+f[6]]))
		at = data + aligned(f[6])
	}
}

func TestCpio(t *testing.T) {
	testdata := filepath.Join(t.TempDir(), "testdata")
	if err := os.MkdirAll(filepath.Join(testdata, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(testdata, "sub", "x"), []byte("12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	var c cpio
	c.put("dev/null", modeChar|0o666, nil, 1, 3)
	c.file("a/b/c", 0o755, []byte("odd"))
	c.file("a/b/d", 0o644, nil)
	for _, from := range []string{testdata, filepath.Join(testdata, "missing")} {
		if err := c.tree("a/testdata", from); err != nil {
			t.Fatal(err)
		}
	}
	c.end()
	got := strings.Join(unpackCpio(t, c.Bytes()), "\n")
	want := strings.Join([]string{
		`dev/null 20666 1:3 ""`,
		`a 40755 0:0 ""`,
		`a/b 40755 0:0 ""`,
		`a/b/c 100755 0:0 "odd"`,
		`a/b/d 100644 0:0 ""`,
		`a/testdata 40755 0:0 ""`,
		`a/testdata/sub 40755 0:0 ""`,
		`a/testdata/sub/x 100644 0:0 "12345"`,
	}, "\n")
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
