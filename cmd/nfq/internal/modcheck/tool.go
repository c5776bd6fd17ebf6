// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/modproxy"
)

// install installs the tool as a user does, and asks it for its version.
func (c checker) install() error {
	if _, err := c.run(c.work, "install", modproxy.Tool+"@"+c.version); err != nil {
		return err
	}
	out, err := exec.Command(filepath.Join(c.work, "bin", "nfq"), "--version").Output()
	if err != nil {
		return fmt.Errorf("nfq --version: %w", err)
	}
	if want := "nfq " + c.version + " "; !strings.HasPrefix(string(out), want) {
		return fmt.Errorf("nfq --version prints %q, want %q", out, want)
	}
	return nil
}

// alone checks a module that requires the library: its go.mod and go.sum are tidy, and it builds
// with the library from the proxy. It works on copies of these two files.
func (c checker) alone(dir string) error {
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return err
	}
	sum, err := os.ReadFile(filepath.Join(dir, "go.sum"))
	if err != nil {
		return err
	}
	sum = modproxy.WithoutLibrary(sum)
	modCopy := filepath.Join(c.work, filepath.Base(dir)+".mod")
	sumCopy := strings.TrimSuffix(modCopy, ".mod") + ".sum"
	for name, content := range map[string][]byte{modCopy: mod, sumCopy: sum} {
		if err := os.WriteFile(name, content, 0o644); err != nil {
			return err
		}
	}
	here, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if _, err := c.run(here, "mod", "tidy", "-modfile="+modCopy); err != nil {
		return err
	}
	tidyMod, err := os.ReadFile(modCopy)
	if err != nil {
		return err
	}
	tidySum, err := os.ReadFile(sumCopy)
	if err != nil {
		return err
	}
	if !bytes.Equal(mod, tidyMod) {
		return fmt.Errorf("go.mod is not tidy; it should be\n%s", tidyMod)
	}
	if tidySum = modproxy.WithoutLibrary(tidySum); !bytes.Equal(sum, tidySum) {
		return fmt.Errorf("go.sum is not tidy; without the library it should be\n%s", tidySum)
	}
	_, err = c.run(here, "vet", "-modfile="+modCopy, "./...")
	return err
}
