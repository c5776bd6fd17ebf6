// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// archive is Debian's, as this system's apt is configured for it, with a state of
// our own for each suite and architecture.
type archive struct {
	dir    string // of the state
	mirror string
	suite  string
	arch   string
}

// keyring is where the package debian-archive-keyring has it.
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// findMirror asks apt for the address of the Debian archive that it uses.
func findMirror(ctx context.Context) (string, error) {
	out, err := output(exec.CommandContext(ctx, "apt-get", "indextargets", "--format", "$(REPO_URI)",
		"Created-By: Packages", "Label: Debian"))
	if err != nil {
		return "", err
	}
	mirror, _, _ := strings.Cut(string(out), "\n")
	if mirror == "" {
		return "", errors.New("apt knows no Debian archive here; name one with -mirror, or run apt-get update if there should be one")
	}
	return mirror, nil
}

// openArchive makes the state and reads the lists of packages.
func openArchive(ctx context.Context, dir, mirror, suite, arch string) (*archive, error) {
	a := &archive{filepath.Join(dir, suite+"-"+arch), mirror, suite, arch}
	for _, sub := range []string{"lists/partial", "archives/partial", "preferences.d",
		"trusted.gpg.d"} {
		if err := os.MkdirAll(filepath.Join(a.dir, sub), 0o755); err != nil {
			return nil, err
		}
	}
	sources := a.source(suite)
	// The packages of a backports suite depend on those of the suite it is for.
	if base, ok := strings.CutSuffix(suite, "-backports"); ok {
		sources += a.source(base)
	}
	for name, text := range map[string]string{"sources.list": sources, "status": ""} {
		if err := os.WriteFile(filepath.Join(a.dir, name), []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	_, err := output(a.apt(ctx, "apt-get", "update"))
	return a, err
}

func (a *archive) source(suite string) string {
	return fmt.Sprintf("deb [signed-by=%s] %s %s main\n", keyring, a.mirror, suite)
}

// apt is apt-get, or another program of apt, for the suite and architecture, which leaves the
// system's state alone.
func (a *archive) apt(ctx context.Context, program string, args ...string) *exec.Cmd {
	in := func(sub string) string { return filepath.Join(a.dir, sub) }
	var options []string
	for _, o := range []string{
		"APT::Sandbox::User=root", // the user it would change to cannot enter the folder
		"APT::Architecture=" + a.arch, "APT::Architectures=" + a.arch,
		"Dir::State=" + a.dir, "Dir::State::Lists=" + in("lists"), "Dir::State::status=" + in("status"),
		"Dir::Cache=" + a.dir, "Dir::Cache::archives=" + in("archives"),
		"Dir::Etc::sourcelist=" + in("sources.list"), "Dir::Etc::sourceparts=/dev/null",
		"Dir::Etc::preferences=/dev/null", "Dir::Etc::preferencesparts=" + in("preferences.d"),
		"Acquire::Languages=none",
	} {
		options = append(options, "-o", o)
	}
	options = append(options, "-q", "-o", "APT::Default-Release="+a.suite)
	return exec.CommandContext(ctx, program, append(options, args...)...)
}

// unpack downloads the packages that pkg depends on and whose names match, and
// unpacks them into a folder. It returns their names, also if that fails.
func (a *archive) unpack(ctx context.Context, pkg string, match *regexp.Regexp,
	into string) ([]string, error) {
	plan, err := output(a.apt(ctx, "apt-get", "--print-uris", "-y", "--no-install-recommends",
		"install", pkg))
	if err != nil {
		return nil, err
	}
	names := planned(string(plan), match)
	if len(names) == 0 {
		return nil, fmt.Errorf("%s of %s/%s depends on no package %v", pkg, a.suite, a.arch, match)
	}
	debs, err := os.MkdirTemp(a.dir, "debs")
	if err != nil {
		return names, err
	}
	defer os.RemoveAll(debs)
	download := a.apt(ctx, "apt-get", append([]string{"download"}, names...)...)
	download.Dir = debs
	if _, err := output(download); err != nil {
		return names, err
	}
	files, err := filepath.Glob(filepath.Join(debs, "*.deb"))
	if err != nil {
		return names, err
	}
	for _, file := range files {
		if _, err := output(exec.CommandContext(ctx, "dpkg-deb", "-x", file, into)); err != nil {
			return names, err
		}
	}
	return names, nil
}

// planLine is a package that apt-get --print-uris install would fetch.
var planLine = regexp.MustCompile(`(?m)^'[^']*' ([^ _]+)_`)

// planned returns the names in a plan of apt-get that match.
func planned(plan string, match *regexp.Regexp) (names []string) {
	for _, line := range planLine.FindAllStringSubmatch(plan, -1) {
		if match.MatchString(line[1]) {
			names = append(names, line[1])
		}
	}
	return names
}

// output runs a command and returns what it printed. The error has what it said.
func output(cmd *exec.Cmd) ([]byte, error) {
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", filepath.Base(cmd.Path), err, said.String())
	}
	return out, nil
}
