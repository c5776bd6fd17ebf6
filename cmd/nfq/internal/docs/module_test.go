// SPDX-License-Identifier: GPL-2.0-or-later

package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// module is a module of a reader, who has this one next to it.
type module struct {
	t           *testing.T
	dir         string
	files       int
	environment []string
}

func newModule(t *testing.T) *module {
	t.Helper()
	m := &module{t: t, dir: t.TempDir(), environment: append(os.Environ(), "GOFLAGS=-mod=mod",
		"GOWORK=off", "GOPROXY=off", "PWD=")}
	ours, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	here, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	// All that this module needs, so that nothing has to be looked for.
	goMod := strings.Replace(string(ours), "module "+modulePath, "module example.com/reader", 1) +
		"\nrequire " + modulePath + " v0.0.0\nreplace " + modulePath + " => " + here + "\n"
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	m.write("go.mod", goMod)
	m.write("go.sum", string(sums))
	return m
}

func (m *module) write(name, text string) {
	m.t.Helper()
	path := filepath.Join(m.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		m.t.Fatal(err)
	}
}

// add adds a file to the package in a directory.
func (m *module) add(dir, name, text string) {
	m.t.Helper()
	m.write(filepath.Join(dir, name), text)
	m.files++
}

func (m *module) run(args ...string) {
	m.t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Dir, cmd.Env = m.dir, m.environment
	if out, err := cmd.CombinedOutput(); err != nil {
		m.t.Errorf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
