// SPDX-License-Identifier: GPL-2.0-or-later

package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestCompiledElsewhere: the file that a mark names has the text of the block, as the inside of a
// function.
func TestCompiledElsewhere(t *testing.T) {
	found := 0
	for _, d := range documents(t) {
		for _, b := range d.blocks {
			if !b.has(markCompiledIn) {
				continue
			}
			found++
			file, err := os.ReadFile(filepath.Join(root, b.marks[markCompiledIn]))
			must(t, err)
			var inside strings.Builder
			for line := range strings.Lines(b.text) {
				if line != "\n" {
					inside.WriteString("\t")
				}
				inside.WriteString(line)
			}
			if !strings.Contains(string(file), "\n"+inside.String()+"}\n") {
				t.Errorf("%s: %s has something else", b.where, b.marks[markCompiledIn])
			}
		}
	}
	if found == 0 {
		t.Error("found no block with such a mark")
	}
}

// TestPython parses the programs in Python.
func TestPython(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		lack(t, err)
	}
	found := 0
	for _, d := range documents(t) {
		for _, b := range d.blocks {
			if b.lang != "python" {
				continue
			}
			found++
			cmd := exec.Command(python, "-c", "import ast, sys; ast.parse(sys.stdin.read())")
			cmd.Stdin = strings.NewReader(b.text)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", b.where, err, out)
			}
		}
	}
	if found == 0 {
		t.Error("found no program in Python")
	}
}
