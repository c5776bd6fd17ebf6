// SPDX-License-Identifier: GPL-2.0-or-later

package modproxy

import (
	"archive/zip"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// checkout makes a repository with the modules of this one, and one more.
func checkout(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		".gitignore":      "/dist\n",
		"LICENSE":         "licence\n",
		"dist/nfq":        "left out: git ignores it\n",
		"go.mod":          "module " + Library + "\n\ngo 1.25.0\n",
		"nfqueue.go":      "package nfqueue\n",
		"cmd/nfq/main.go": "package main\n",
		"cmd/nfq/go.mod": "module " + Tool + "\n\ngo 1.26.0\n\nrequire " + Library +
			" v0.1.0\n",
		"cmd/nfq/go.sum": Library + " v0.1.0 h1:x\n" + Library +
			" v0.1.0/go.mod h1:x\nexample.com/other v1.0.0 h1:x\n",
		"cmd/nfq/internal/x/go.mod": "module example.com/x\n",
		"cmd/nfq/internal/x/x.go":   "package x\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("git", "init", "-q")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git init: %v\n%s", err, out)
	}
	return dir
}

// published returns the files of a module's version, without what all their names begin with.
func published(t *testing.T, proxy, path, version string) map[string]string {
	t.Helper()
	z, err := zip.OpenReader(filepath.Join(proxy, path, "@v", version+".zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	files := make(map[string]string)
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[strings.TrimPrefix(f.Name, path+"@"+version+"/")] = string(content)
	}
	return files
}

func TestWrite(t *testing.T) {
	dir, proxy := checkout(t), t.TempDir()
	if version, err := Required(dir); version != "v0.1.0" || err != nil {
		t.Errorf("requires %q, %v", version, err)
	}
	if err := Write(proxy, dir, "v1.2.3"); err != nil {
		t.Fatal(err)
	}
	names := func(path string) []string {
		return slices.Sorted(maps.Keys(published(t, proxy, path, "v1.2.3")))
	}
	if got, want := names(Library), []string{".gitignore", "LICENSE", "go.mod",
		"nfqueue.go"}; !slices.Equal(got, want) {
		t.Errorf("the library has %q, want %q", got, want)
	}
	if got, want := names(Tool), []string{"LICENSE", "go.mod", "go.sum", "main.go"}; !slices.Equal(got,
		want) {
		t.Errorf("the tool has %q, want %q", got, want)
	}
	tool := published(t, proxy, Tool, "v1.2.3")
	if !strings.Contains(tool["go.mod"], Library+" v1.2.3") {
		t.Errorf("the tool requires another library:\n%s", tool["go.mod"])
	}
	if want := "example.com/other v1.0.0 h1:x\n"; tool["go.sum"] != want {
		t.Errorf("go.sum is %q, want %q", tool["go.sum"], want)
	}
	mod, err := os.ReadFile(filepath.Join(proxy, Tool, "@v", "v1.2.3.mod"))
	if string(mod) != tool["go.mod"] || err != nil {
		t.Errorf("%v, and the proxy's go.mod is\n%s", err, mod)
	}
}

// TestSnapshot: other contents get another version.
func TestSnapshot(t *testing.T) {
	dir, proxy := checkout(t), t.TempDir()
	snapshot := func() string {
		t.Helper()
		if err := Snapshot(proxy, dir); err != nil {
			t.Fatal(err)
		}
		list, err := os.ReadFile(filepath.Join(proxy, Tool, "@v", "list"))
		if err != nil {
			t.Fatal(err)
		}
		return string(list)
	}
	first := snapshot()
	if again := snapshot(); again != first {
		t.Errorf("the same contents are %q, then %q", first, again)
	}
	if err := os.WriteFile(filepath.Join(dir, "nfqueue.go"), []byte("package nfqueue // changed\n"),
		0o644); err != nil {
		t.Fatal(err)
	}
	if changed := snapshot(); changed == first {
		t.Errorf("changed contents are still %q", changed)
	}
}
