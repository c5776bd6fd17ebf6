// SPDX-License-Identifier: GPL-2.0-or-later

//go:build !linux

// Package affinity keeps threads to processors.
package affinity

import (
	"errors"
	"fmt"
	"runtime"
)

// Allowed fails with errors.ErrUnsupported.
func Allowed() ([]int, error) { return nil, errUnsupported }

// Pin fails with errors.ErrUnsupported.
func Pin([]int) (unpin func(), err error) { return nil, errUnsupported }

var errUnsupported = fmt.Errorf("processors cannot be chosen on %s: %w", runtime.GOOS,
	errors.ErrUnsupported)
