// SPDX-License-Identifier: GPL-2.0-or-later

package consumer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	sources "github.com/chifflier/nfqueue-go/cmd/nfq/bench"
)

// Peers returns the programs of bench/c that are in a directory, as Build leaves them there.
func Peers(dir string) ([]Consumer, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	var found []Consumer
	for _, p := range peers {
		path := filepath.Join(dir, p.source)
		if info, err := os.Stat(path); err != nil || info.IsDir() {
			continue
		}
		found = append(found, &Program{
			Title:    p.title,
			Command:  append([]string{path}, p.args...),
			Defaults: slices.Contains(p.args, "--defaults"),
		})
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("none of the programs to compare with is in %s; --build-peers makes them",
			dir)
	}
	return found, nil
}

// Packages are the Debian packages that Build needs.
const Packages = "gcc libc6-dev libnetfilter-queue-dev"

// Build compiles the programs of bench/c into a directory, those that can be compiled. The error
// tells what is missing for the others.
func Build(ctx context.Context, dir string) error {
	cc := os.Getenv("CC")
	if cc == "" {
		cc = "cc"
	}
	if _, err := exec.LookPath(cc); err != nil {
		return fmt.Errorf("no C compiler: install the Debian packages %s: %w", Packages, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "nfq-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	if err := os.CopyFS(work, sources.C); err != nil {
		return err
	}
	var errs []error
	for _, p := range peers {
		if len(p.args) > 0 { // the same program as another
			continue
		}
		cmd := exec.CommandContext(ctx, cc, "-O2", "-Wall", "-o", filepath.Join(dir, p.source),
			filepath.Join(work, "c", p.source+".c"))
		if p.library != "" {
			cmd.Args = append(cmd.Args, "-l"+p.library)
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			errs = append(errs,
				fmt.Errorf("compile %s: install the Debian packages %s: %w\n%s", p.source, Packages, err, out))
		}
	}
	return errors.Join(errs...)
}
