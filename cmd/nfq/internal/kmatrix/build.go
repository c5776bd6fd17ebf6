// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

const (
	// tag compiles tests that not every kernel can run.
	tag = "kernelmatrix"
	// libraryPath is the import path of the root of the checkout. The tool's module is below it.
	libraryPath = "github.com/chifflier/nfqueue-go"
	// labtest is the package that every kernel test imports.
	labtest = libraryPath + "/internal/netlab/labtest"
)

// testPackage is one whose tests need a kernel.
type testPackage struct {
	ImportPath, Dir           string
	TestImports, XTestImports []string
}

// name is the folder of the package, as seen from the root of the checkout.
func (p testPackage) name() string {
	return "." + strings.TrimPrefix(p.ImportPath, libraryPath)
}

// kernelTests finds the packages of the library and of the tool whose tests need a kernel.
func kernelTests(ctx context.Context) ([]testPackage, error) {
	list := exec.CommandContext(ctx, "go", "list", "-tags", tag,
		"-json=ImportPath,Dir,TestImports,XTestImports", "./...", "./cmd/nfq/...")
	list.Env = append(os.Environ(), "GOOS=linux")
	out, err := output(list)
	if err != nil {
		return nil, err
	}
	var packages []testPackage
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p testPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		if slices.Contains(append(p.TestImports, p.XTestImports...), labtest) {
			packages = append(packages, p)
		}
	}
	if len(packages) == 0 {
		return nil, errors.New("no kernel tests here; run it in the root of the checkout")
	}
	return packages, nil
}

// choose returns the packages of a list of names, all for an empty one.
func choose(packages []testPackage, only string) (chosen []testPackage, err error) {
	if only == "" {
		return packages, nil
	}
	for name := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(packages, func(p testPackage) bool { return p.name() == name })
		if i < 0 {
			return nil, fmt.Errorf("no package %s with kernel tests", name)
		}
		chosen = append(chosen, packages[i])
	}
	return chosen, nil
}

// binaries are what runs in the guests of an architecture.
type binaries struct {
	init  []byte
	nfq   []byte // as it is released
	tests []testBinary
	all   []testPackage // also those whose tests do not run: others read their testdata
}

type testBinary struct {
	testPackage
	data []byte
}

// build builds static binaries without cgo. The flags are those of a release as far as possible, so
// that packages are compiled once for both.
func build(ctx context.Context, dir, goarch string, packages []testPackage) (*binaries, error) {
	fmt.Printf("building the tests for %s\n", goarch)
	bin := filepath.Join(dir, "bin", goarch)
	// go does not link binaries again that are up to date.
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return nil, err
	}
	compile := func(args ...string) error {
		cmd := exec.CommandContext(ctx, "go", args...)
		cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+goarch, "CGO_ENABLED=0",
			"GOFLAGS="+os.Getenv("GOFLAGS")+" -buildvcs=false -trimpath")
		_, err := output(cmd)
		return err
	}
	tests := []string{"test", "-c", "-tags=" + tag, "-ldflags=-s -w", "-o", bin + "/"}
	for _, p := range packages {
		tests = append(tests, p.ImportPath)
	}
	initFile := filepath.Join(bin, "init")
	if err := errors.Join(compile(tests...), compile("build", "-ldflags=-s -w", "-o", initFile,
		libraryPath+"/cmd/nfq/internal/kmatrix/init")); err != nil {
		return nil, err
	}
	initProgram, err := os.ReadFile(initFile)
	if err != nil {
		return nil, err
	}
	b := &binaries{init: initProgram}
	for _, p := range packages {
		data, err := os.ReadFile(filepath.Join(bin, path.Base(p.ImportPath)+".test"))
		if err != nil {
			return nil, err
		}
		b.tests = append(b.tests, testBinary{p, data})
	}
	return b, nil
}
