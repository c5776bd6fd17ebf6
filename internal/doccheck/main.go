// SPDX-License-Identifier: GPL-2.0-or-later

// Command doccheck finds exported identifiers without a doc comment, in the module that
// it is run in or in the directories that it is given: packages, functions, methods,
// types, constants, variables, struct fields and methods of interfaces. It looks at the
// files of all systems, but not at tests.
package main

import (
	"fmt"
	"os"
)

func main() {
	dirs := os.Args[1:]
	if len(dirs) == 0 {
		dirs = []string{"."}
	}
	bad := 0
	for _, dir := range dirs {
		missing, err := checkTree(dir)
		if err != nil {
			fmt.Fprintln(os.Stderr, "doccheck:", err)
			os.Exit(2)
		}
		for _, m := range missing {
			fmt.Println(m)
		}
		bad += len(missing)
	}
	if bad > 0 {
		fmt.Fprintf(os.Stderr, "doccheck: %d without a doc comment\n", bad)
		os.Exit(1)
	}
}
