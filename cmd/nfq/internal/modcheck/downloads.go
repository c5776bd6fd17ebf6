// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"io/fs"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/mod/module"
)

// downloads returns the modules whose code has been downloaded so far.
func (c checker) downloads() (modules []string, err error) {
	cache := filepath.Join(modCache(c.work), "cache", "download")
	err = filepath.WalkDir(cache, func(name string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(name) != ".zip" {
			return err
		}
		rel, err := filepath.Rel(cache, name)
		if err != nil {
			return err
		}
		escaped, _, _ := strings.Cut(path.Clean(filepath.ToSlash(rel)), "/@v/")
		m, err := module.UnescapePath(escaped)
		modules = append(modules, m)
		return err
	})
	return modules, err
}
