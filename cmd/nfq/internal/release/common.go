// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
)

// commonFiles returns the files that are the same for all architectures: licence, introduction,
// manual pages and completions. nfq itself writes the last two.
func (r release) commonFiles(work string) ([]file, error) {
	var files []file
	add := func(name, path string) error {
		content, err := os.ReadFile(path)
		files = append(files, file{name: name, mode: 0o644, content: content})
		return err
	}
	for _, name := range []string{"LICENSE", "README.md", "CHANGELOG.md"} {
		if err := add(name, name); err != nil {
			return nil, err
		}
	}
	nfq := filepath.Join(work, "nfq")
	if err := r.compile(runtime.GOARCH, nfq); err != nil {
		return nil, err
	}
	man := filepath.Join(work, "man")
	cmd := exec.Command(nfq, "man", man)
	cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH="+strconv.FormatInt(r.time.Unix(), 10))
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("manual pages: %w: %s", err, out)
	}
	pages, err := os.ReadDir(man)
	if err != nil {
		return nil, err
	}
	for _, p := range pages {
		if err := add("man/man1/"+p.Name(), filepath.Join(man, p.Name())); err != nil {
			return nil, err
		}
	}
	for shell, name := range map[string]string{"bash": "nfq", "zsh": "_nfq", "fish": "nfq.fish"} {
		script, err := exec.Command(nfq, "completion", shell).Output()
		if err != nil {
			return nil, fmt.Errorf("completion for %s: %w", shell, err)
		}
		files = append(files, file{name: "completions/" + shell + "/" + name, mode: 0o644,
			content: script})
	}
	return files, nil
}
