// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// checker runs the go command as somebody who has nothing of the project yet.
type checker struct {
	work        string // a folder that is removed
	version     string // of the modules
	environment []string
}

// environment has the go command look for modules first in the proxy in the folder, then in what
// this machine has downloaded, then where it is set to look. It keeps what it finds in an empty
// cache, so that nothing of this checkout gets into the machine's own.
func environment(work string) ([]string, error) {
	out, err := exec.Command("go", "env", "GOMODCACHE", "GOPROXY").Output()
	if err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	settings := strings.Split(string(out), "\n")
	downloaded := "file://" + filepath.ToSlash(filepath.Join(settings[0], "cache", "download"))
	return append(os.Environ(),
		"GOWORK=off", "GOTOOLCHAIN=local", "GOOS=linux", "CGO_ENABLED=0",
		"GOMODCACHE="+modCache(work), "GOBIN="+filepath.Join(work, "bin"),
		"GOPROXY=file://"+filepath.ToSlash(work)+"/proxy,"+downloaded+","+settings[1],
		"GOSUMDB=off", // which does not have these versions
		// The paths of the cache do not get into what is compiled, which can be used again the next
		// time.
		"GOFLAGS=-modcacherw -trimpath -buildvcs=false",
	), nil
}

func modCache(work string) string { return filepath.Join(work, "modules") }

// run runs the go command in a folder and returns what it prints.
func (c checker) run(dir string, args ...string) (string, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir, cmd.Env = dir, append(slices.Clone(c.environment), "PWD="+dir)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("go %s: %w\n%s%s", strings.Join(args, " "), err, &stdout, &stderr)
	}
	return stdout.String(), nil
}
