// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"errors"
	"fmt"
)

var (
	// ErrNotInitialized means that a call came before the one that it needs: Init,
	// SetCallback or CreateQueue, or that a Payload comes from no queue.
	ErrNotInitialized = errors.New("nfqueue: queue not initialized")
	// ErrOpenFailed means that Init failed. The error that wraps it says why.
	ErrOpenFailed = errors.New("nfqueue: open failed")
	// ErrRuntime means that anything else failed. The error that wraps it says why: it
	// matches fs.ErrPermission without CAP_NET_ADMIN, the sentinels of package
	// github.com/chifflier/nfqueue-go, such as ErrQueueInUse and ErrClosed, and so on.
	ErrRuntime = errors.New("nfqueue: runtime error")
)

// runtimeError wraps an error other than nil in ErrRuntime.
func runtimeError(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrRuntime, err)
}
