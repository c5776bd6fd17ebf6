// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// checkTree checks the packages in a directory and below it. As with the go command,
// directories called testdata are no packages, nor are those whose names begin with a
// dot or an underscore.
func checkTree(root string) (missing []string, err error) {
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if name := d.Name(); path != root && (name == "testdata" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")) {
			return fs.SkipDir
		}
		found, err := checkDir(path)
		missing = append(missing, found...)
		return err
	})
	return missing, err
}

// checkDir checks the package in a directory, if there is one.
func checkDir(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	files := token.NewFileSet()
	var parsed []*ast.File
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		f, err := parser.ParseFile(files, filepath.Join(dir, e.Name()), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		parsed = append(parsed, f)
	}
	return check(files, parsed, isPublic(dir, parsed)), nil
}

// isPublic reports whether other modules can import the package in a directory.
func isPublic(dir string, parsed []*ast.File) bool {
	if len(parsed) == 0 || parsed[0].Name.Name == "main" {
		return false
	}
	return !slices.Contains(strings.Split(filepath.ToSlash(dir), "/"), "internal")
}
