// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// cpio is an archive in the format that the kernel unpacks as its first root file
// system (newc, Documentation/driver-api/early-userspace/buffer-format.rst).
type cpio struct {
	bytes.Buffer
	inode int
	dirs  map[string]bool
}

// Types of files, as in stat.
const (
	modeDir  = 0o040000
	modeFile = 0o100000
	modeChar = 0o020000
)

// put adds an entry.
func (c *cpio) put(name string, mode int, data []byte, major, minor int) {
	c.inode++
	const links, uid, gid, mtime, devMajor, devMinor, check = 1, 0, 0, 0, 0, 0, 0
	fmt.Fprintf(c, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		c.inode, mode, uid, gid, links, mtime, len(data), devMajor, devMinor, major, minor, len(name)+1,
		check, name)
	c.pad()
	c.Write(data)
	c.pad()
}

func (c *cpio) pad() {
	for c.Len()%4 != 0 {
		c.WriteByte(0)
	}
}

// dir adds a folder, and those that it is in, unless they are there.
func (c *cpio) dir(name string) {
	if name == "." || c.dirs[name] {
		return
	}
	if c.dirs == nil {
		c.dirs = make(map[string]bool)
	}
	c.dirs[name] = true
	c.dir(path.Dir(name))
	c.put(name, modeDir|0o755, nil, 0, 0)
}

// file adds a file with its folder.
func (c *cpio) file(name string, perm int, data []byte) {
	c.dir(path.Dir(name))
	c.put(name, modeFile|perm, data, 0, 0)
}

// tree adds a folder of this system, if there is one, under a name of the archive's.
func (c *cpio) tree(name, from string) error {
	if _, err := os.Stat(from); os.IsNotExist(err) {
		return nil
	}
	return filepath.WalkDir(from, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		rel, err := filepath.Rel(from, file)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(file)
		c.file(path.Join(name, filepath.ToSlash(rel)), 0o644, data)
		return err
	})
}

// end ends the archive.
func (c *cpio) end() { c.put("TRAILER!!!", 0, nil, 0, 0) }
