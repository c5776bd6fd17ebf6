// SPDX-License-Identifier: GPL-2.0-or-later

// Command modcheck proves that the modules of a checkout can be released as they are. It puts the
// library and the tool into a module proxy, as tags would, and then does in an empty module cache
// what users and maintainers do:
//
//	go run ./cmd/nfq/internal/modcheck [-write]
//
// A stranger's module imports only the root package and builds, and what it downloads for that is
// what importer.txt lists. "go install" builds the tool. The tool and nfqueueprom build
// without the workspace, and "go mod tidy" changes nothing in them but the checksums of the
// library, which exist only after its tag.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/modproxy"
)

// listFile has what an importer of the root package downloads and compiles.
const listFile = "cmd/nfq/internal/modcheck/importer.txt"

func main() {
	write := flag.Bool("write", false, "write "+listFile+" instead of comparing with it")
	flag.Parse()
	if err := check(*write); err != nil {
		fmt.Fprintln(os.Stderr, "modcheck:", err)
		os.Exit(1)
	}
}

// check runs in the root of the checkout.
func check(write bool) error {
	version, err := modproxy.Required(".")
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "nfq-modcheck-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	c := checker{work: work, version: version}
	if c.environment, err = environment(work); err != nil {
		return err
	}
	if err := modproxy.Write(filepath.Join(work, "proxy"), ".", version); err != nil {
		return err
	}
	for _, s := range []struct {
		what string
		do   func() error
	}{
		{"a stranger imports the root package", func() error { return c.stranger(write) }},
		{"go install of the tool", c.install},
		{"cmd/nfq without the workspace", func() error { return c.alone("cmd/nfq") }},
		{"nfqueueprom without the workspace", func() error { return c.alone("nfqueueprom") }},
	} {
		fmt.Println(s.what)
		if err := s.do(); err != nil {
			return fmt.Errorf("%s: %w", s.what, err)
		}
	}
	return nil
}
