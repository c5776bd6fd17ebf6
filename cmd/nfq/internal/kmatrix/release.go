// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// releaseVersion is what the released program says of itself here.
const releaseVersion = "kmatrix"

// release builds nfq for architectures, as it is released, and returns it for each.
func release(ctx context.Context, goarchs []string) (map[string][]byte, error) {
	fmt.Printf("building nfq as it is released for %s\n", strings.Join(goarchs, " "))
	dir, err := os.MkdirTemp("", "kmatrix-release-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	cmd := exec.CommandContext(ctx, "go", "run", "./cmd/nfq/internal/release", "-version",
		releaseVersion, "-arch", strings.Join(goarchs, ","), "-o", dir)
	cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=0")
	if _, err := output(cmd); err != nil {
		return nil, err
	}
	programs := make(map[string][]byte)
	for _, goarch := range goarchs {
		name := fmt.Sprintf("nfq-%s-linux-%s", releaseVersion, goarch)
		archive := filepath.Join(dir, name+".tar.gz")
		if programs[goarch], err = extract(archive, name+"/nfq"); err != nil {
			return nil, fmt.Errorf("%s: %w", archive, err)
		}
	}
	return programs, nil
}

// extract returns a file of an archive.
func extract(archive, name string) ([]byte, error) {
	f, err := os.Open(archive)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	unpacked, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	for files := tar.NewReader(unpacked); ; {
		header, err := files.Next()
		if err == io.EOF {
			return nil, fmt.Errorf("no %s in it", name)
		} else if err != nil {
			return nil, err
		}
		if header.Name == name {
			return io.ReadAll(files)
		}
	}
}
