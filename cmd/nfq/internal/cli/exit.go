// SPDX-License-Identifier: GPL-2.0-or-later

//go:build linux

package cli

import (
	"context"
	"errors"
	"io/fs"
)

// Exit codes, documented by the help of the root command.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitUnavailable = 3
	exitInterrupted = 130 // as a shell reports SIGINT
)

// workError is an error of a subcommand's own work. All others are of its command line.
type workError struct{ error }

func (e workError) Unwrap() error { return e.error }

// unavailableError means that the kernel or the privileges do not allow what was asked for.
type unavailableError struct{ error }

func (e unavailableError) Unwrap() error { return e.error }

// exitCode returns the exit code for what the root command ended with.
func exitCode(err error) int {
	var work workError
	var unavailable unavailableError
	var status statusError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &status):
		return int(status.Status)
	case !errors.As(err, &work):
		return exitUsage
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.As(err, &unavailable), errors.Is(err, fs.ErrPermission), errors.Is(err, errors.ErrUnsupported):
		return exitUnavailable
	}
	return exitFailed
}
