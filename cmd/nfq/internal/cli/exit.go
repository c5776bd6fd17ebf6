// SPDX-License-Identifier: GPL-2.0-or-later

//go:build linux

package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// Exit codes, documented by the help of the root command.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitUnavailable = 3
	exitInterrupted = 130 // as a shell reports SIGINT
	exitNoReader    = 141 // as a shell reports SIGPIPE
)

// workError is an error of a subcommand's own work. All others are of its command line.
type workError struct{ error }

func (e workError) Unwrap() error { return e.error }

// usageError is an error of the command line that only the work of a subcommand finds.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// unavailableError means that the kernel or the privileges do not allow what was asked for.
type unavailableError struct{ error }

func (e unavailableError) Unwrap() error { return e.error }

// exitCode returns the exit code for what the root command ended with.
func exitCode(err error) int {
	var work workError
	var usage usageError
	var unavailable unavailableError
	var status statusError
	var file *fs.PathError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &status):
		return int(status.Status)
	case errors.Is(err, unix.EPIPE):
		return exitNoReader
	case !errors.As(err, &work), errors.As(err, &usage):
		return exitUsage
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.As(err, &unavailable), errors.Is(err, errors.ErrUnsupported):
		return exitUnavailable
	case errors.As(err, &file) && !strings.HasPrefix(file.Path, "/proc/"):
		return exitFailed // a file that the user named
	case errors.Is(err, fs.ErrPermission):
		return exitUnavailable
	}
	return exitFailed
}

// packageNames are those that errors of our packages begin with. They mean nothing to users of a
// program.
var packageNames = regexp.MustCompile(
	`(^|\n|: )((nfqueue|nfqueuetest|rules|netlab|conntrack|bench): )+`,
)

// suggestions are what cobra adds to the error of an unknown command, a line for each.
var suggestions = regexp.MustCompile(`\n\nDid you mean this\?\n((?:\t\S+\n)+)`)

// suggest says suggestions as other errors of ours do.
func suggest(cobras string) string {
	names := strings.Fields(suggestions.FindStringSubmatch(cobras)[1])
	return `; did you mean "` + strings.Join(names, `" or "`) + `"?`
}

// exclusive is what cobra says of two flags of which one only can be given.
var exclusive = regexp.MustCompile(`^if any flags in the group \[(\S+) (\S+)\] are set none .*$`)

// oneArgument has a command take one argument; missing says what it is.
func oneArgument(missing string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch len(args) {
		case 0:
			return errors.New(missing)
		case 1:
			return nil
		}
		return fmt.Errorf("one argument is enough: leave out %q", args[1])
	}
}

// explainError returns what is said of an error: each line once, without the names of packages.
func explainError(err error) string {
	text := packageNames.ReplaceAllString(err.Error(), "$1")
	text = suggestions.ReplaceAllStringFunc(text, suggest)
	text = exclusive.ReplaceAllString(text, "--$1 and --$2 cannot be given together")
	var lines []string
	said := make(map[string]bool)
	for line := range strings.SplitSeq(text, "\n") {
		if !said[line] {
			said[line] = true
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\nnfq: ")
}

// needProc returns an error where /proc is not mounted, so that nothing is concluded from files
// that are not there.
func needProc() error {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		return unavailableError{errors.New("/proc is not mounted, and nfq needs it; " +
			"mount it with: mount -t proc proc /proc")}
	}
	return nil
}

// standardOutput is what cobra writes help and completions to. It keeps the first error, which
// cobra ignores.
type standardOutput struct{ err error }

func (o *standardOutput) Write(b []byte) (int, error) {
	n, err := os.Stdout.Write(b)
	if o.err == nil {
		o.err = err
	}
	return n, err
}
