// SPDX-License-Identifier: GPL-2.0-or-later

// Package modproxy makes a directory that the go command accepts as a module proxy, with the
// library and the tool as they are in a checkout: what tags on the checkout would publish.
package modproxy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

const (
	// Library is the path of the library's module, which is in the root of the checkout.
	Library = "github.com/chifflier/nfqueue-go"
	// Tool is the path of the tool's module.
	Tool = Library + "/" + toolDir

	toolDir = "cmd/nfq"
)

// Required returns the version of the library that the tool in a checkout requires.
func Required(checkout string) (string, error) {
	name := filepath.Join(checkout, toolDir, "go.mod")
	text, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	mod, err := modfile.Parse(name, text, nil)
	if err != nil {
		return "", err
	}
	for _, r := range mod.Require {
		if r.Mod.Path == Library {
			return r.Mod.Version, nil
		}
	}
	return "", fmt.Errorf("%s does not require %s", name, Library)
}

// Write puts both modules into a directory, as a version. The tool requires this version of the
// library, and has no checksum for it: no other library can have this version here.
func Write(dir, checkout, version string) error {
	files, err := sources(checkout)
	if err != nil {
		return err
	}
	return write(dir, version, files)
}

func write(dir, version string, files []zip.File) error {
	if err := writeModule(dir, module.Version{Path: Library, Version: version}, files); err != nil {
		return err
	}
	tool, err := toolFiles(files, version)
	if err != nil {
		return err
	}
	return writeModule(dir, module.Version{Path: Tool, Version: version}, tool)
}

// Snapshot does as Write does, with a version that no other contents of the checkout get. The go
// command takes a version for something that never changes, also in caches that outlive the proxy.
func Snapshot(dir, checkout string) error {
	files, err := sources(checkout)
	if err != nil {
		return err
	}
	sum := fnv.New32a()
	for _, f := range files {
		info, err := f.Lstat()
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			continue
		}
		b, err := content(f)
		if err != nil {
			return err
		}
		fmt.Fprintf(sum, "%s %d\n%s", f.Path(), len(b), b)
	}
	return write(dir, fmt.Sprintf("v1.0.%d", sum.Sum32()), files)
}

// writeModule puts a module into a proxy, in the layout of https://go.dev/ref/mod#goproxy-protocol.
func writeModule(proxy string, m module.Version, files []zip.File) error {
	dir := filepath.Join(proxy, filepath.FromSlash(m.Path), "@v")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var archive bytes.Buffer
	if err := zip.Create(&archive, m, files); err != nil {
		return err
	}
	info, err := json.Marshal(struct {
		Version string
		Time    time.Time
	}{m.Version, time.Unix(0, 0).UTC()})
	if err != nil {
		return err
	}
	mod, err := find(files, "go.mod")
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{
		"list":              []byte(m.Version + "\n"),
		m.Version + ".info": info,
		m.Version + ".mod":  mod,
		m.Version + ".zip":  archive.Bytes(),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// sources returns the files of a checkout that git has, or would add.
func sources(checkout string) ([]zip.File, error) {
	cmd := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard",
		"--deduplicate")
	cmd.Dir = checkout
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, bytes.TrimSpace(exit.Stderr))
		}
		return nil, fmt.Errorf("git ls-files: %w", err)
	}
	var files []zip.File
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		f := diskFile{name: name, at: filepath.Join(checkout, name)}
		if _, err := f.Lstat(); errors.Is(err, fs.ErrNotExist) {
			continue // deleted, but not yet in a commit
		}
		files = append(files, f)
	}
	return files, nil
}

// toolFiles returns the files of the tool's module, which requires a version of the library. The
// licence comes from the root of the repository, as the go command takes it for a module in a
// folder that has none.
func toolFiles(all []zip.File, version string) (files []zip.File, err error) {
	for _, f := range all {
		disk := f.(diskFile)
		name, inside := strings.CutPrefix(disk.name, toolDir+"/")
		if !inside {
			if name == "LICENSE" {
				files = append(files, disk)
			}
			continue
		}
		disk.name = name
		switch name {
		case "go.mod":
			mod, err := content(disk)
			if err == nil {
				mod, err = require(mod, version)
			}
			if err != nil {
				return nil, err
			}
			files = append(files, memoryFile{disk, mod})
		case "go.sum":
			sum, err := content(disk)
			if err != nil {
				return nil, err
			}
			files = append(files, memoryFile{disk, WithoutLibrary(sum)})
		default:
			files = append(files, disk)
		}
	}
	return files, nil
}

// require has a go.mod require a version of the library.
func require(mod []byte, version string) ([]byte, error) {
	f, err := modfile.Parse("go.mod", mod, nil)
	if err != nil {
		return nil, err
	}
	if err := f.AddRequire(Library, version); err != nil {
		return nil, err
	}
	return f.Format()
}

// WithoutLibrary returns a go.sum without the lines of the library.
func WithoutLibrary(sum []byte) []byte {
	var rest []byte
	for line := range bytes.Lines(sum) {
		if !bytes.HasPrefix(line, []byte(Library+" ")) {
			rest = append(rest, line...)
		}
	}
	return rest
}
