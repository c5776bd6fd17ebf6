// SPDX-License-Identifier: GPL-2.0-or-later

//go:build linux

// Package cli is the command line of nfq: its subcommands, their flags and help, and exit codes.
// The work is done by the packages beside it.
package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

const rootHelp = `nfq shows, tests and measures NFQUEUE, the queues through which Linux hands packets to programs.

Exit codes:

      0  done, and all is well
      1  failed
      2  wrong usage
      3  the kernel or the privileges do not allow it; the message says why
    130  interrupted by SIGINT, SIGTERM or SIGHUP before it was done
    141  the reader of the output went away, as with '| head -1'

nfq run ends with the exit status of its command.`

// newRoot makes the command with all its subcommands. They do their work in RunE, whose errors
// exitCode tells apart; what else they find, in Args or PreRunE, is wrong usage.
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
	root.SetFlagErrorFunc(explainFlag)
	root.AddCommand(newDemo(), newDump(), newRun(), newReplay(), newStat(), newImpair(), newProbe(),
		newBench(), newMan())
	root.SetUsageTemplate(usageTemplate(root))
	checkTopics(root)
	wrapHelp(root)
	markWork(root)
	return root
}

// checkTopics has the commands that cobra adds refuse what they do not know.
func checkTopics(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		switch c.Name() {
		case "completion":
			c.Args = func(_ *cobra.Command, args []string) error {
				if len(args) > 0 {
					return fmt.Errorf(
						"no completions for the shell %q; there are some for bash, zsh, fish and powershell",
						args[0],
					)
				}
				return nil
			}
			c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
		case "help":
			c.Args = func(_ *cobra.Command, args []string) error {
				if found, rest, err := root.Find(args); err != nil || len(rest) > 0 ||
					found == nil {
					return fmt.Errorf("no help for %q; 'nfq --help' lists the commands", strings.Join(args, " "))
				}
				return nil
			}
		}
	}
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

// insist is how long after a signal another one ends nfq at once. One that comes earlier is the same
// request: timeout(1), for instance, signals the process and then its process group.
const insist = 500 * time.Millisecond

// Main runs the command line in args and returns the exit code. SIGINT, SIGTERM and SIGHUP end it in
// good order, a later SIGINT or SIGTERM at once.
func Main(args []string) int {
	// A reader that goes away is an error of Write, and not the end of the process.
	signal.Notify(make(chan os.Signal, 1), unix.SIGPIPE)
	endings := []os.Signal{unix.SIGINT, unix.SIGTERM}
	if !signal.Ignored(unix.SIGHUP) { // as under nohup
		endings = append(endings, unix.SIGHUP)
		// When a terminal closes, both the shell and the kernel may send it.
		signal.Notify(make(chan os.Signal, 1), unix.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), endings...)
	context.AfterFunc(ctx, func() { time.AfterFunc(insist, stop) })
	return execute(ctx, args)
}

// execute runs the command line and returns the exit code.
func execute(ctx context.Context, args []string) int {
	root := newRoot()
	root.SetArgs(args)
	var out standardOutput
	root.SetOut(&out)
	cmd, err := root.ExecuteContextC(ctx)
	if out.err != nil && (err == nil || errors.Is(err, out.err)) {
		err = workError{out.err}
	}
	code := exitCode(err)
	var status statusError
	switch {
	case code == exitOK, errors.Is(err, unix.EPIPE):
	case errors.As(err, &status):
		if status.error != nil {
			fmt.Fprintln(os.Stderr, "nfq:", explainError(err))
		}
	case code == exitInterrupted:
		fmt.Fprintln(os.Stderr, "nfq: interrupted")
	case code == exitUsage:
		fmt.Fprintf(os.Stderr, "nfq: %s\nSee '%s --help'.\n", explainError(err), cmd.CommandPath())
	default:
		fmt.Fprintln(os.Stderr, "nfq:", explainError(err))
	}
	return code
}

// warn says what went wrong without ending the command.
func warn(err error) { fmt.Fprintln(os.Stderr, "nfq:", explainError(err)) }

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
