// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"os"
	"path"
	"path/filepath"
	"strings"
)

// initramfs makes the archive from which a guest boots: its first program, the
// modules of the kernel in dir, the tests with their testdata, and nfq.
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
		c.file(t.program(), 0o755, t.data)
	}
	for _, p := range b.all {
		c.dir(p.dir())
		if err := c.tree(path.Join(p.dir(), "testdata"), filepath.Join(p.Dir, "testdata")); err != nil {
			return err
		}
	}
	c.file(releasedProgram, 0o755, b.nfq)
	for _, j := range b.jobs(o) {
		list.WriteString(j.line())
	}
	c.file("kmatrix/jobs", 0o644, []byte(list.String()))
	// Collecting garbage is a quarter of the work of an emulated machine, and there is memory
	// enough.
	env := []string{"PATH=/bin", "HOME=/tmp", "NFQUEUE_REQUIRE_KERNEL=1", "GOGC=800"}
	if o.capture != "" {
		env = append(env, captureEnv+"=1")
	}
	c.file("kmatrix/env", 0o644, []byte(strings.Join(env, "\n")))
	if g.user {
		c.file("kmatrix/user", 0o644, nil)
	}
	c.end()

	// Not compressed: an emulated machine would take longer to unpack it than to read it.
	return os.WriteFile(file, c.Bytes(), 0o644)
}
