// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestUnpackedCommand(t *testing.T) {
	dir := t.TempDir()
	if command, err := unpackedCommand(dir, "qemu"); err == nil {
		t.Errorf("an empty folder has the command %q", command)
	}
	libraries := filepath.Join(dir, "usr/lib/x86_64-linux-gnu")
	if err := os.MkdirAll(libraries, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ld-linux-x86-64.so.2", "libc.so.6", "libld.so.1"} {
		if err := os.WriteFile(filepath.Join(libraries, name), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	command, err := unpackedCommand(dir, "qemu")
	want := []string{filepath.Join(libraries, "ld-linux-x86-64.so.2"), "--library-path", libraries,
		filepath.Join(dir, "usr/bin/qemu")}
	if err != nil || !slices.Equal(command[:min(len(want), len(command))], want) {
		t.Errorf("command %q, %v; want %q first", command, err, want)
	}
}

func TestEmulatorPackages(t *testing.T) {
	for name, want := range map[string]bool{
		"qemu-system-s390x": true, "qemu-system-data": true, "libc6": true, "libglib2.0-0t64": true,
		"seabios": true,
		"adduser": false, "debconf": false, "passwd": false, "qemu-utils": false,
	} {
		if got := emulatorPackage.MatchString(name); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}
