// SPDX-License-Identifier: GPL-2.0-or-later

//go:build linux

// Package cli is the command line of nfq: its subcommands, their flags and help, and exit codes. The
// work is done by the packages beside it.
package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

const rootHelp = `nfq shows, tests and measures NFQUEUE, the queues through which Linux hands packets to programs.

Exit codes:

      0  done, and all is well
      1  failed
      2  wrong usage
      3  the kernel or the privileges do not allow it; the message says how to get it
    130  interrupted by SIGINT or SIGTERM before it was done

nfq run ends with the exit status of its command.`

// newRoot makes the command with all its subcommands. They do their work in RunE, whose errors exitCode tells apart; what
// else they find, in Args or PreRunE, is wrong usage.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "nfq",
		Short:         "Show, test and measure NFQUEUE",
		Long:          rootHelp,
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetVersionTemplate("nfq {{.Version}}\n")
	root.SetFlagErrorFunc(explainValue)
	root.AddCommand(newDemo(), newDump(), newRun(), newReplay(), newStat(), newImpair(), newProbe(), newBench(), newMan())
	markWork(root)
	return root
}

// markWork makes all errors of RunE in the subcommands of c a workError.
func markWork(c *cobra.Command) {
	for _, sub := range c.Commands() {
		markWork(sub)
		if run := sub.RunE; run != nil {
			sub.RunE = func(cmd *cobra.Command, args []string) error {
				if err := run(cmd, args); err != nil {
					return workError{err}
				}
				return nil
			}
		}
	}
}

// Main runs the command line in args and returns the exit code. SIGINT and SIGTERM end it in good
// order, a second one at once.
func Main(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	context.AfterFunc(ctx, stop)
	return execute(ctx, args)
}

// execute runs the command line and returns the exit code.
func execute(ctx context.Context, args []string) int {
	root := newRoot()
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	code := exitCode(err)
	var status statusError
	switch {
	case code == exitOK:
	case errors.As(err, &status):
		if status.error != nil {
			fmt.Fprintln(os.Stderr, "nfq:", err)
		}
	case code == exitInterrupted:
		fmt.Fprintln(os.Stderr, "nfq: interrupted")
	case code == exitUsage:
		fmt.Fprintf(os.Stderr, "nfq: %v\nSee '%s --help'.\n", err, cmd.CommandPath())
	default:
		fmt.Fprintln(os.Stderr, "nfq:", err)
	}
	return code
}

// release is the version that the linker puts into released programs.
var release string

// version tells which source and toolchain the program is made from.
func version() string {
	v := release
	if info, ok := debug.ReadBuildInfo(); ok && v == "" {
		v = info.Main.Version
	}
	if v == "" {
		v = "(unknown)"
	}
	return fmt.Sprintf("%s %s %s/%s", v, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
