// SPDX-License-Identifier: GPL-2.0-or-later

// Command kmatrix runs the kernel tests of this module on other kernels and other
// architectures, in QEMU:
//
//	go run ./cmd/nfq/internal/kmatrix [flags] [guest ...]
//
// It fetches the kernels that Debian packages, through this system's own apt, builds
// static binaries of all tests that need a kernel (with the build tag kernelmatrix),
// and nfq as it is released, packs them into an archive from which QEMU boots, and
// prints a result for each package and program on each guest. Its exit status is 1
// unless all of them passed. Without a guest it runs all.
//
// It needs Linux with apt-get, dpkg-deb, xz and the keys of Debian's archive, and fetches
// QEMU too. It does not need root, and changes nothing but its folder in the user's
// cache, where everything fetched is kept.
//
// The tests run with -test.short, which leaves out what measures time or needs other
// programs, and without those that would show the same on any kernel.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"
)

func main() {
	var o options
	flag.StringVar(&o.run, "run", "", "run only tests that match this `pattern`")
	flag.StringVar(&o.skip, "skip", "", "do not run tests that match this `pattern`")
	flag.StringVar(&o.packages, "packages", "", "run only the tests of these `packages`, such as .,./rules")
	flag.BoolVar(&o.verbose, "v", false, "print the output of all tests")
	flag.IntVar(&o.parallel, "j", 1, "`number` of guests at a time")
	flag.StringVar(&o.capture, "capture", "", "put messages that the kernels sent into this `folder`, for testdata/packets")
	flag.DurationVar(&o.timeout, "timeout", 15*time.Minute, "time for the tests of each package")
	flag.StringVar(&o.mirror, "mirror", "", "`address` of a Debian archive; empty for the one that apt is configured for")
	flag.BoolVar(&o.refresh, "refresh", false, "fetch the newest kernels even where there are some")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "usage: go run ./cmd/nfq/internal/kmatrix [flags] [guest ...]\nguests: %s\n", strings.Join(guestNames(), " "))
		flag.PrintDefaults()
	}
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	passed, err := matrix(ctx, o, flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "kmatrix:", err)
		os.Exit(2)
	}
	if !passed {
		os.Exit(1)
	}
}

type options struct {
	run      string
	skip     string
	packages string
	verbose  bool
	capture  string
	parallel int
	timeout  time.Duration
	mirror   string
	refresh  bool
}

// matrix runs the guests and reports whether everything passed.
func matrix(ctx context.Context, o options, names []string) (passed bool, err error) {
	guests, err := selectGuests(names)
	if err != nil {
		return false, err
	}
	cache, err := cacheDir()
	if err != nil {
		return false, err
	}
	packages, err := kernelTests(ctx)
	if err != nil {
		return false, err
	}
	chosen, err := choose(packages, o.packages)
	if err != nil {
		return false, err
	}
	var goarchs []string
	for _, g := range guests {
		if !slices.Contains(goarchs, g.goarch) {
			goarchs = append(goarchs, g.goarch)
		}
	}
	released, err := release(ctx, goarchs)
	if err != nil {
		return false, err
	}
	built := make(map[string]*binaries)
	for _, goarch := range goarchs {
		if built[goarch], err = build(ctx, cache, goarch, chosen); err != nil {
			return false, err
		}
		built[goarch].nfq, built[goarch].all = released[goarch], packages
	}
	k := &kernels{dir: filepath.Join(cache, "kernels"), fresh: o.refresh, got: make(map[kernel]string),
		mirror: findMirror}
	if o.mirror != "" {
		k.mirror = func(context.Context) (string, error) { return o.mirror, nil }
	}
	outcomes := make([]outcome, len(guests))
	places := make(chan struct{}, max(o.parallel, 1))
	var running sync.WaitGroup
	for i, g := range guests {
		places <- struct{}{}
		running.Go(func() {
			outcomes[i] = g.test(ctx, cache, o, k, built[g.goarch])
			fmt.Print(outcomes[i].details(g, o.verbose))
			if o.capture != "" {
				outcomes[i].err = errors.Join(outcomes[i].err, outcomes[i].writeCaptured(o.capture, g))
			}
			<-places
		})
	}
	running.Wait()
	return table(guests, outcomes), nil
}

// cacheDir returns the folder in which everything is kept and made.
func cacheDir() (string, error) {
	user, err := os.UserCacheDir()
	return filepath.Join(user, "nfqueue-kmatrix"), err
}

// table prints a line for each guest and job, and reports whether all passed.
func table(guests []guest, outcomes []outcome) (passed bool) {
	passed = true
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "GUEST\tKERNEL\tTESTS OR PROGRAM\tRESULT\tTIME")
	for i, g := range guests {
		o := outcomes[i]
		for _, j := range o.jobs {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", g.name, o.kernel, j.name, j.verdict(), j.time)
			passed = passed && j.passed()
		}
		if o.err != nil {
			fmt.Fprintf(w, "%s\t%s\t\tFAIL\t%v\n", g.name, o.kernel, o.err)
			passed = false
		}
	}
	w.Flush()
	return passed
}
