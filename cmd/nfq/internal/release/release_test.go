// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestArchive(t *testing.T) {
	when := time.Unix(981173106, 0)
	files := []file{{"b", 0o644, []byte("second")}, {"a/nfq", 0o755, []byte("first")}}
	var archives [2][]byte
	for i := range archives {
		path := filepath.Join(t.TempDir(), "x.tar.gz")
		if err := writeArchive(path, "dir", when, files); err != nil {
			t.Fatal(err)
		}
		archives[i], _ = os.ReadFile(path)
		slices.Reverse(files)
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("the order of the files changes the archive")
	}
	z, err := gzip.NewReader(bytes.NewReader(archives[0]))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s %o %d %d %s %s", h.Name, h.Mode, h.Uid, h.ModTime.Unix(),
			h.Uname, content))
	}
	if want := []string{"dir/a/nfq 755 0 981173106  first",
		"dir/b 644 0 981173106  second"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestChecksums(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := writeChecksums(dir); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, checksums))
	if want := fmt.Sprintf("%x  a\n", sha256.Sum256([]byte("content"))); string(got) != want ||
		err != nil {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}

// build compiles a program.
func build(t *testing.T, source, arch string, flags ...string) string {
	dir := t.TempDir()
	for name, text := range map[string]string{"main.go": source,
		"go.mod": "module example.org/x\n\ngo 1.26.0\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	binary := filepath.Join(dir, "x")
	cmd := exec.Command("go", append(append([]string{"build", "-buildvcs=false"}, flags...), "-o",
		binary, ".")...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}

func TestCheckStatic(t *testing.T) {
	const nothing = "package main\n\nfunc main() {}\n"
	if runtime.GOARCH != "amd64" {
		t.Skip("Go links programs that need an interpreter without C on amd64")
	}
	static := build(t, nothing, "amd64")
	if err := checkStatic(static, "amd64"); err != nil {
		t.Error(err)
	}
	if err := checkStatic(static, "s390x"); err == nil || !strings.Contains(err.Error(), "EM_X86_64") {
		t.Errorf("for s390x: %v", err)
	}
	if err := checkStatic(build(t, nothing, "amd64", "-buildmode=pie"), "amd64"); err == nil ||
		!strings.Contains(err.Error(), "not static") {
		t.Errorf("with an interpreter: %v", err)
	}
}

func TestBillOfMaterials(t *testing.T) {
	r := release{version: "v1.2.3", time: time.Unix(981173106, 0).UTC()}
	test, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := r.billOfMaterials(test, "nfq-v1.2.3-linux-amd64")
	if err != nil {
		t.Fatal(err)
	}
	again, err := r.billOfMaterials(test, "nfq-v1.2.3-linux-amd64")
	if !bytes.Equal(b, again) || err != nil {
		t.Errorf("another one the second time, %v", err)
	}
	var d spdxDocument
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	if d.Version != "SPDX-2.3" || d.Creation.Created != "2001-02-03T04:05:06Z" ||
		len(d.Relationships) != len(d.Packages) {
		t.Errorf("%+v", d)
	}
	ids := make(map[string]bool)
	for _, p := range d.Packages {
		if ids[p.ID] {
			t.Errorf("two packages %s", p.ID)
		}
		ids[p.ID] = true
	}
	for _, p := range d.Packages {
		if p.Version == ofCheckout {
			t.Errorf("%s has no version", p.Name)
		}
	}
	for _, rel := range d.Relationships {
		if !ids[rel.To] {
			t.Errorf("%+v: no such package", rel)
		}
	}
	if p := d.Packages[0]; p.Version != "v1.2.3" || len(p.Checksums) != 1 ||
		p.References[0].Locator != "pkg:golang/github.com/chifflier/nfqueue-go/cmd/nfq@v1.2.3" {
		t.Errorf("%+v", p)
	}
	if p := d.Packages[1]; p.Name != "std" || p.Version != runtime.Version() {
		t.Errorf("%+v", p)
	}
}

func TestRunRefuses(t *testing.T) {
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "old"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := run([]string{"amd64"}, release{dir: full, version: "v1"}); err == nil ||
		!strings.Contains(err.Error(), "is not empty") {
		t.Errorf("a directory in use: %v", err)
	}
	if err := run([]string{"z80"}, release{dir: t.TempDir(), version: "v1"}); err == nil ||
		!strings.Contains(err.Error(), "loong64") {
		t.Errorf("an unknown architecture: %v", err)
	}
}
