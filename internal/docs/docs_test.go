// SPDX-License-Identifier: GPL-2.0-or-later

// Package docs checks that the code in the documentation compiles.
package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var goBlock = regexp.MustCompile("(?s)\n```go\n(.*?)```\n")

// TestProgramsCompile builds every Go program in README.md and docs.
func TestProgramsCompile(t *testing.T) {
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	programs := 0
	for _, file := range append(files, "../../README.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range goBlock.FindAllStringSubmatch(string(text), -1) {
			programs++
			if !strings.HasPrefix(m[1], "package main\n") {
				t.Errorf("%s: a block of Go is not a whole program:\n%s", file, m[1])
				continue
			}
			source := filepath.Join(t.TempDir(), "main.go")
			if err := os.WriteFile(source, []byte(m[1]), 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command("go", "vet", source).CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", file, err, out)
			}
		}
	}
	if programs == 0 {
		t.Error("found no program")
	}
}
