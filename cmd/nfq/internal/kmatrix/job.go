// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"path"
	"strconv"
	"strings"
)

// anyKernelTests have the same result on every kernel.
const anyKernelTests = "^TestFault|Usage$|^TestCompletion$"

// moduleDir is where a guest has the folders of the module, with testdata only.
const moduleDir = "/module"

// job is a program that a guest runs.
type job struct {
	name string   // without spaces
	dir  string   // where it runs
	argv []string // the program and its arguments
	want string   // a text that it must print
}

// line is how the first program of a guest reads it.
func (j job) line() string {
	return strings.Join(append([]string{j.name, j.dir}, j.argv...), "\t") + "\n"
}

// program returns where a guest has the tests of a package.
func (p testPackage) program() string { return "/tests/" + path.Base(p.ImportPath) }

// dir returns where they run.
func (p testPackage) dir() string { return path.Join(moduleDir, p.name()) }

// jobs returns what a guest runs: the tests, and the released program unless -run chooses tests.
func (b *binaries) jobs(o options) []job {
	var jobs []job
	skip := anyKernelTests
	if o.skip != "" {
		skip += "|" + o.skip
	}
	for _, t := range b.tests {
		argv := []string{
			t.program(), "-test.timeout=" + o.timeout.String(), "-test.v=" + strconv.FormatBool(o.verbose),
			"-test.short", "-test.skip=" + skip,
		}
		if o.run != "" {
			argv = append(argv, "-test.run="+o.run)
		}
		jobs = append(jobs, job{name: t.name(), dir: t.dir(), argv: argv})
	}
	if o.run == "" {
		jobs = append(jobs,
			job{name: "nfq--version", dir: "/tmp", argv: []string{releasedProgram, "--version"},
				want: "nfq " + releaseVersion + " "},
			job{name: "nfq-demo", dir: "/tmp", argv: []string{releasedProgram, "demo"}},
		)
	}
	return jobs
}

// releasedProgram is where a guest has nfq.
const releasedProgram = "/bin/nfq"
