// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"errors"
	"fmt"
)

var (
	// ErrNotInitialized means that Init, SetCallback or CreateQueue must be called first, or that a
	// Payload does not come from a callback.
	ErrNotInitialized = errors.New("nfqueue: queue not initialized")
	// ErrOpenFailed means that Init failed. The error that wraps it says why.
	ErrOpenFailed = errors.New("nfqueue: open failed")
	// ErrRuntime means that something else failed. The error that wraps it says why. It matches
	// fs.ErrPermission if CAP_NET_ADMIN is missing, and the errors of package
	// github.com/chifflier/nfqueue-go, such as ErrQueueInUse and ErrClosed.
	ErrRuntime = errors.New("nfqueue: runtime error")
)

// runtimeError wraps an error other than nil in ErrRuntime.
func runtimeError(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrRuntime, err)
}
