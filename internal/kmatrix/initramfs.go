// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"bytes"
	"compress/gzip"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// fakeKernelTests show nothing about the kernel that they run on.
const fakeKernelTests = "^TestFault"

// initramfs makes the archive from which a guest boots: its first program, the
// modules of the kernel in dir, and the tests with their testdata.
func initramfs(file, dir string, g guest, b *binaries, o options) error {
	mods, err := modules(dir)
	if err != nil {
		return err
	}
	var c cpio
	for _, d := range []string{"dev", "proc", "sys", "tmp", "run"} {
		c.dir(d)
	}
	c.put("dev/console", modeChar|0o600, nil, 5, 1)
	c.put("dev/null", modeChar|0o666, nil, 1, 3)
	c.file("etc/hosts", 0o644, []byte("127.0.0.1 localhost\n::1 localhost\n"))
	c.file("init", 0o755, b.init)

	var list strings.Builder
	for _, m := range mods {
		name := path.Join("modules", m.name+".ko")
		c.file(name, 0o644, m.data)
		list.WriteString("/" + name + "\n")
	}
	c.file("kmatrix/modules", 0o644, []byte(list.String()))

	list.Reset()
	for _, t := range b.tests {
		dir := path.Join("tests", t.file())
		c.file(path.Join(dir, "test"), 0o755, t.data)
		if err := c.tree(path.Join(dir, "testdata"), filepath.Join(t.Dir, "testdata")); err != nil {
			return err
		}
		list.WriteString(t.name() + " /" + dir + "\n")
	}
	c.file("kmatrix/tests", 0o644, []byte(list.String()))

	args := []string{
		"-test.timeout=" + o.timeout.String(), "-test.v=" + strconv.FormatBool(o.verbose),
		"-test.short", "-test.skip=" + fakeKernelTests,
	}
	if o.run != "" {
		args = append(args, "-test.run="+o.run)
	}
	c.file("kmatrix/args", 0o644, []byte(strings.Join(args, "\n")))
	env := []string{"PATH=/bin", "HOME=/tmp", "NFQUEUE_REQUIRE_KERNEL=1"}
	if o.capture != "" {
		env = append(env, captureEnv+"=1")
	}
	c.file("kmatrix/env", 0o644, []byte(strings.Join(env, "\n")))
	if g.user {
		c.file("kmatrix/user", 0o644, nil)
	}
	c.end()

	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestSpeed)
	if err != nil {
		return err
	}
	if _, err := z.Write(c.Bytes()); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return os.WriteFile(file, packed.Bytes(), 0o644)
}
