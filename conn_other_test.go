// SPDX-License-Identifier: GPL-2.0-or-later

//go:build !linux

package nfqueue

import (
	"errors"
	"runtime"
	"strings"
	"testing"
)

func TestOpenNamesTheSystem(t *testing.T) {
	_, err := Open(Config{})
	if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), runtime.GOOS) {
		t.Fatalf("Open: %v; want errors.ErrUnsupported that names %s", err, runtime.GOOS)
	}
}
