// SPDX-License-Identifier: GPL-2.0-or-later

package docs

import (
	"cmp"
	"fmt"
	"go/format"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const modulePath = "github.com/chifflier/nfqueue-go"

// packageClause matches that of a program or test.
var packageClause = regexp.MustCompile(`(?m)^package (\w+)$`)

// TestPrograms compiles and vets all Go in the documents and in the comments of the packages.
func TestPrograms(t *testing.T) {
	m := newModule(t)
	addBlocks(t, m)
	addComments(t, m)
	m.run("vet", "./...")
	t.Logf("%d files", m.files)
}

// addBlocks adds the blocks of Go in the documents, each of which is a whole file.
func addBlocks(t *testing.T, m *module) {
	t.Helper()
	found := map[string]int{}
	for _, d := range documents(t) {
		for _, b := range d.blocks {
			if b.lang != "go" || b.has(markCompiledIn) {
				continue
			}
			if b.has(markStatements) {
				found[d.name]++
				i := slices.IndexFunc(snippetsOf, func(p snippets) bool { return p.dir == cmp.Or(b.marks[markStatements], ".") })
				m.add(fmt.Sprintf("%s%d", strings.Map(letters, d.name), found[d.name]), "main.go",
					snippetsOf[i].wrap(t, b.text))
				continue
			}
			if !packageClause.MatchString(b.text) {
				t.Errorf("%s: a block of Go is not a whole file", b.where)
				continue
			}
			found[d.name]++
			if formatted, err := format.Source([]byte(b.text)); err == nil && string(formatted) != b.text {
				t.Errorf("%s: is not as gofmt has it", b.where)
			}
			name := "main.go"
			if strings.Contains(b.text, "\nfunc Test") {
				name = "main_test.go"
			}
			// A package of its own, unless it is one of several files that a reader has in a
			// directory.
			dir := fmt.Sprintf("%s_%d", strings.Map(letters, d.name), found[d.name])
			if with := b.marks[markFile]; with != "" && with != "main.go" {
				dir, name = strings.Map(letters, d.name+filepath.Dir(with)), filepath.Base(with)
			}
			m.add(dir, name, b.text)
		}
	}
	if found["README.md"] == 0 {
		t.Error("found no program in README.md")
	}
}

// letters keeps letters.
func letters(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
		return r
	}
	return -1
}

// TestSignals: programs end in good order by SIGINT, and by SIGTERM too, as systemd and containers
// send it.
func TestSignals(t *testing.T) {
	endless := regexp.MustCompile(`(Run|RunFunc|Serve\w*)\(context\.(Background|TODO)\(\).*`)
	catches := regexp.MustCompile(`signal\.Notify(Context)?\(.*os\.Interrupt.*`)
	found := 0
	check := func(where, text string) {
		for _, line := range catches.FindAllString(text, -1) {
			found++
			if !strings.Contains(line, "SIGTERM") {
				t.Errorf("%s: SIGTERM loses the packets that wait: %s", where, line)
			}
		}
		if line := endless.FindString(text); line != "" && strings.Contains(text, "func main()") {
			t.Errorf("%s: every signal loses the packets that wait: %s", where, line)
		}
	}
	for _, d := range documents(t) {
		for _, b := range d.blocks {
			check(b.where, b.text)
		}
	}
	mains, err := filepath.Glob(filepath.Join(root, "examples", "*", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range mains {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		check(path, string(text))
	}
	if found < 20 {
		t.Errorf("found %d programs that catch signals", found)
	}
}
