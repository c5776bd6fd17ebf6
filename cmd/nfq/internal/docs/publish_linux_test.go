// SPDX-License-Identifier: GPL-2.0-or-later

package docs

import (
	"archive/zip"
	"bytes"
	"fmt"
	"hash/fnv"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// publish makes a module proxy that has this module as its only version, so that "go get" and "go install" find it as it is
// here, and returns its directory. The go command takes a version for something that never changes, also in its caches:
// the number has to be that of the contents.
func publish(t *testing.T) string {
	t.Helper()
	files := sources(t)
	names := slices.Sorted(maps.Keys(files))
	sum := fnv.New32a()
	for _, name := range names {
		fmt.Fprintf(sum, "%s %d\n%s", name, len(files[name]), files[name])
	}
	version := fmt.Sprintf("v1.0.%d", sum.Sum32())

	var archive bytes.Buffer
	z := zip.NewWriter(&archive)
	for _, name := range names {
		w, err := z.Create(modulePath + "@" + version + "/" + name)
		if err == nil {
			_, err = w.Write(files[name])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	proxy := t.TempDir()
	dir := filepath.Join(proxy, filepath.FromSlash(modulePath), "@v")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{
		"list":            []byte(version + "\n"),
		version + ".info": []byte(`{"Version":"` + version + `"}`),
		version + ".mod":  files["go.mod"],
		version + ".zip":  archive.Bytes(),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return proxy
}

// sources returns what of the module is built, by names from its root on.
func sources(t *testing.T) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			_, other := os.Stat(filepath.Join(path, "go.mod"))
			if path != root && (other == nil || slices.Contains([]string{".git", "testdata"}, d.Name())) {
				return filepath.SkipDir
			}
			return nil
		}
		name, err := filepath.Rel(root, path)
		built := slices.Contains([]string{".go", ".mod", ".sum", ".c", ".h"}, filepath.Ext(name)) || d.Name() == "LICENSE"
		if err != nil || !d.Type().IsRegular() || !built || strings.HasSuffix(name, "_test.go") {
			return err
		}
		files[filepath.ToSlash(name)], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
