// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/modproxy"
)

const strangersProgram = `package main

import "github.com/chifflier/nfqueue-go"

func main() {
	_, _ = nfqueue.Open(nfqueue.Config{})
}
`

// stranger builds a module that imports the root package alone, and compares what came with it with
// the list.
func (c checker) stranger(write bool) error {
	dir := filepath.Join(c.work, "stranger")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	main := filepath.Join(dir, "main.go")
	if err := os.WriteFile(main, []byte(strangersProgram), 0o644); err != nil {
		return err
	}
	got, err := c.whatCame(dir)
	if err != nil {
		return err
	}
	if write {
		return os.WriteFile(listFile, []byte(got), 0o644)
	}
	want, err := os.ReadFile(listFile)
	if err != nil {
		return err
	}
	if got != string(want) {
		return fmt.Errorf(
			"an importer of the root package gets\n%s\nbut %s has\n%s\nIf you intend that, run this with -write",
			got, listFile, want)
	}
	return nil
}

// whatCame builds the module in a folder, tidies it, and lists what it gets from others at each
// step.
func (c checker) whatCame(dir string) (string, error) {
	var b strings.Builder
	section := func(title string, lines []string) {
		slices.Sort(lines)
		fmt.Fprintf(&b, "# %s\n%s\n", title, strings.Join(lines, "\n"))
	}
	for _, args := range [][]string{
		{"mod", "init", "example.com/stranger"},
		{"get", modproxy.Library + "@" + c.version},
		{"build", "-o", filepath.Join(c.work, "stranger.out"), "."},
	} {
		if _, err := c.run(dir, args...); err != nil {
			return "", err
		}
	}
	downloaded, err := c.downloads()
	if err != nil {
		return "", err
	}
	section("modules that go get and go build download", downloaded)
	packages, err := c.run(dir, "list", "-deps",
		"-f", "{{if not (or .Standard .Module.Main)}}{{.ImportPath}}{{end}}", ".")
	if err != nil {
		return "", err
	}
	others := slices.DeleteFunc(strings.Fields(packages), ofLibrary)
	section("packages of other modules that go build compiles", others)
	if _, err := c.run(dir, "mod", "tidy"); err != nil {
		return "", err
	}
	required, err := c.run(dir, "list", "-m", "-f", "{{if not .Main}}{{.Path}}{{end}}", "all")
	if err != nil {
		return "", err
	}
	section("modules in the module graph", strings.Fields(required))
	if downloaded, err = c.downloads(); err != nil {
		return "", err
	}
	section("modules that go mod tidy downloads, for the tests of the root package too", downloaded)
	return b.String(), nil
}

func ofLibrary(path string) bool {
	return path == modproxy.Library || strings.HasPrefix(path, modproxy.Library+"/")
}
