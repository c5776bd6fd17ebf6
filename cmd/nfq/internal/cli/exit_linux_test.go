// SPDX-License-Identifier: GPL-2.0-or-later

package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/chifflier/nfqueue-go"
	"golang.org/x/sys/unix"
)

func TestExitCode(t *testing.T) {
	for _, test := range []struct {
		err  error
		code int
	}{
		{nil, exitOK},
		{errors.New("unknown flag"), exitUsage},
		{workError{errors.New("went wrong")}, exitFailed},
		{workError{fmt.Errorf("stopped: %w", context.Canceled)}, exitInterrupted},
		{workError{unavailableError{errors.New("no user namespaces")}}, exitUnavailable},
		{workError{&nfqueue.OpError{Op: "open", Err: unix.EPERM}}, exitUnavailable},
		{workError{&nfqueue.OpError{Op: "open", Err: errors.ErrUnsupported}}, exitUnavailable},
		{workError{&nfqueue.OpError{Op: "open", Err: nfqueue.ErrQueueInUse}}, exitFailed},
	} {
		if code := exitCode(test.err); code != test.code {
			t.Errorf("%v: exit code %d, want %d", test.err, code, test.code)
		}
	}
}

// The help has to name every exit code.
func TestExitCodesInHelp(t *testing.T) {
	for _, code := range []int{exitOK, exitFailed, exitUsage, exitUnavailable, exitInterrupted} {
		if want := fmt.Sprintf("\n%7d  ", code); !strings.Contains(rootHelp, want) {
			t.Errorf("exit code %d is not in the help", code)
		}
	}
}
