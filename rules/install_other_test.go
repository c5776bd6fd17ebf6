// SPDX-License-Identifier: GPL-2.0-or-later

//go:build !linux

package rules

import (
	"errors"
	"runtime"
	"strings"
	"testing"
)

func TestInstallElsewhere(t *testing.T) {
	_, err := Install(Config{}, Rule{})
	if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), runtime.GOOS) {
		t.Errorf("%v", err)
	}
}
