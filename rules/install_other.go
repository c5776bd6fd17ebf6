// SPDX-License-Identifier: GPL-2.0-or-later

//go:build !linux

package rules

import (
	"errors"
	"fmt"
	"os"
	"runtime"
)

func install(Config, []Rule) (*Set, error) { return nil, errNotLinux() }

func takeOver(*os.File, Config, []Rule) (*Set, error) { return nil, errNotLinux() }

func errNotLinux() error {
	return fmt.Errorf("nf_tables is part of Linux, and this is %s/%s: %w",
		runtime.GOOS, runtime.GOARCH, errors.ErrUnsupported)
}

// tables are never made.
type tables struct{}

func (*tables) stopQueueing() error     { return errors.ErrUnsupported }
func (*tables) close() error            { return errors.ErrUnsupported }
func (*tables) release() error          { return errors.ErrUnsupported }
func (*tables) tell()                   {}
func (*tables) file() (*os.File, error) { return nil, errors.ErrUnsupported }
