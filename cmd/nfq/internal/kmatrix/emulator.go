// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
)

// emulatorSuite has QEMU 10. Before, QEMU got the checksums wrong which Linux on s390x,
// from 6.9 on, computes in vector registers.
const emulatorSuite = "trixie"

// emulatorPackage matches QEMU and the libraries that it is linked to.
var emulatorPackage = regexp.MustCompile(`^(qemu-system-|lib|ipxe-qemu|seabios)`)

// emulator returns the command that runs QEMU for an architecture. It is kept in the
// cache, as kernels are, so that all machines that run these tests have the same.
func (k *kernels) emulator(ctx context.Context, arch string) (command []string, err error) {
	m := machines[arch]
	k.mu.Lock()
	defer k.mu.Unlock()
	dir := filepath.Join(k.dir, emulatorSuite+"-"+m.pkg)
	if _, err := os.Stat(dir); err != nil {
		if err := k.fetch(ctx, kernel{emulatorSuite, runtime.GOARCH, m.pkg}, emulatorPackage,
			dir); err != nil {
			return nil, err
		}
	}
	return unpackedCommand(dir, m.program)
}

// unpackedCommand returns the command that runs an unpacked QEMU with the C library that
// was unpacked along with it.
func unpackedCommand(dir, program string) ([]string, error) {
	loaders, err := filepath.Glob(filepath.Join(dir, "usr/lib/*-linux-gnu/ld*.so.[0-9]"))
	if err != nil {
		return nil, err
	}
	if len(loaders) != 1 {
		return nil, fmt.Errorf("%s: %d dynamic loaders, want one", dir, len(loaders))
	}
	share := filepath.Join(dir, "usr/share")
	return []string{
		loaders[0], "--library-path", filepath.Dir(loaders[0]), filepath.Join(dir, "usr/bin", program),
		"-L", filepath.Join(share, "qemu"), "-L", filepath.Join(share, "seabios"),
	}, nil
}
