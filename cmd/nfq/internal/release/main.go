// SPDX-License-Identifier: GPL-2.0-or-later

// Command release builds the program nfq for all architectures of Linux, the same bytes wherever
// and whenever it is built from a source: a static binary with manual pages and shell completions
// in an archive, a bill of materials, and checksums.
//
//	go run ./cmd/nfq/internal/release -o dist
//
// Run it in the root of a checkout, on Linux. It needs Go, and git for the version and the date;
// the flag -version and the environment variable SOURCE_DATE_EPOCH replace git.
//
// The library is the one of the checkout. With -tagged it is the one that the tool's go.mod
// requires, which has to be tagged by then: the result is what "go install" builds.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// architectures are those that nfq is built for.
var architectures = []string{
	"amd64", "386", "arm64", "arm", "riscv64", "ppc64le", "s390x", "mips", "mipsle", "mips64le",
	"loong64",
}

// release describes a release.
type release struct {
	version string
	time    time.Time // of everything in the archives
	dir     string    // where the files go
	tagged  bool      // whether the library is the one that go.mod requires
}

// tagPrefix is what the tags of the tool begin with; those of the library have no prefix.
const tagPrefix = "cmd/nfq/"

func main() {
	out := flag.String("o", "dist", "put everything into `DIR`, which must not exist or be empty")
	list := flag.String("arch", strings.Join(architectures, ","), "build for these `ARCHITECTURES`")
	version := flag.String("version", "", "the `VERSION`; what git describe says if not given")
	tagged := flag.Bool("tagged", false, "build with the tagged library that cmd/nfq/go.mod requires")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "release: takes no arguments; see -help")
		os.Exit(2)
	}
	if err := run(strings.Split(*list, ","), release{dir: *out, version: *version,
		tagged: *tagged}); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// run builds a release for architectures. It finds the version if there is none.
func run(archs []string, r release) (err error) {
	for _, arch := range archs {
		if !slices.Contains(architectures, arch) {
			return fmt.Errorf("unknown architecture %q; there are %s", arch,
				strings.Join(architectures, ", "))
		}
	}
	if entries, err := os.ReadDir(r.dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("%s is not empty; remove it, or give another directory with -o", r.dir)
	}
	if r.version == "" {
		described, err := git("describe", "--tags", "--always", "--dirty", "--match", tagPrefix+"v*")
		if err != nil {
			return fmt.Errorf("version: %w; give one with -version", err)
		}
		r.version = strings.TrimPrefix(described, tagPrefix)
	}
	if r.time, err = sourceDate(); err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "nfq-release-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	if r.dir, err = filepath.Abs(r.dir); err != nil {
		return err
	}
	if err := os.MkdirAll(r.dir, 0o755); err != nil {
		return err
	}
	common, err := r.commonFiles(work)
	if err != nil {
		return err
	}
	for _, arch := range archs {
		fmt.Printf("linux/%s\n", arch)
		if err := r.build(arch, filepath.Join(work, arch), common); err != nil {
			return fmt.Errorf("linux/%s: %w", arch, err)
		}
	}
	return writeChecksums(r.dir)
}

// build makes the archive and the bill of materials for an architecture.
func (r release) build(arch, work string, common []file) error {
	binary := filepath.Join(work, "nfq")
	if err := r.compile(arch, binary); err != nil {
		return err
	}
	if err := checkStatic(binary, arch); err != nil {
		return err
	}
	name := fmt.Sprintf("nfq-%s-linux-%s", r.version, arch)
	bill, err := r.billOfMaterials(binary, name)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(r.dir, name+".spdx.json"), bill, 0o644); err != nil {
		return err
	}
	content, err := os.ReadFile(binary)
	if err != nil {
		return err
	}
	files := append([]file{{name: "nfq", mode: 0o755, content: content}}, common...)
	return writeArchive(filepath.Join(r.dir, name+".tar.gz"), name, r.time, files)
}

func git(args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out)), nil
}

// sourceDate is SOURCE_DATE_EPOCH (https://reproducible-builds.org/specs/source-date-epoch), or
// when the commit was made.
func sourceDate() (time.Time, error) {
	const variable = "SOURCE_DATE_EPOCH"
	s, ok := os.LookupEnv(variable)
	if !ok {
		var err error
		if s, err = git("log", "-1", "--format=%ct"); err != nil {
			return time.Time{}, fmt.Errorf("date: %w; give one with %s", err, variable)
		}
	}
	seconds, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("%s: %w", variable, err)
	}
	return time.Unix(seconds, 0).UTC(), nil
}
