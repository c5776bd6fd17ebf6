// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sync"
)

// kernels are the unpacked ones in the cache, and what emulates machines for them.
type kernels struct {
	dir    string
	mirror func(context.Context) (string, error)
	fresh  bool // fetch even what is there

	mu  sync.Mutex // one is fetched at a time
	got map[kernel]string
}

// kernelPackage matches what a kernel is packaged in: since Linux 7 in several.
var kernelPackage = regexp.MustCompile(`^linux-(image|modules|binary)-[0-9]`)

// get returns the folder of a kernel.
func (k *kernels) get(ctx context.Context, want kernel) (dir string, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if dir, ok := k.got[want]; ok {
		return dir, nil
	}
	dir = filepath.Join(k.dir, want.suite+"-"+want.pkg)
	if _, err := image(dir); err != nil || k.fresh {
		if err := k.fetch(ctx, want, kernelPackage, dir); err != nil {
			return "", err
		}
	}
	k.got[want] = dir
	return dir, nil
}

// fetch unpacks what a package depends on, as far as the names of the packages match.
func (k *kernels) fetch(ctx context.Context, want kernel, match *regexp.Regexp, dir string) error {
	mirror, err := k.mirror(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("fetching %s of %s/%s\n", want.pkg, want.suite, want.arch)
	a, err := openArchive(ctx, filepath.Join(k.dir, "apt"), mirror, want.suite, want.arch)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	// What is there is whole.
	part := dir + ".part"
	if err := errors.Join(os.RemoveAll(part), os.MkdirAll(part, 0o755)); err != nil {
		return err
	}
	if err := a.unpackNewest(ctx, want.pkg, match, part); err != nil {
		return err
	}
	return os.Rename(part, dir)
}

// image returns the file that QEMU boots from a kernel's folder. It is below boot,
// or since Linux 7 with the modules.
func image(dir string) (string, error) {
	for _, pattern := range []string{"boot/vmlinuz-*", "usr/lib/modules/*/vmlinuz"} {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return "", err
		}
		if len(files) == 1 {
			return files[0], nil
		}
	}
	return "", fmt.Errorf("%s: no kernel", dir)
}
