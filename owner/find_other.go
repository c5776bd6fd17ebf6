// SPDX-License-Identifier: GPL-2.0-or-later

//go:build !linux

package owner

import (
	"errors"

	"github.com/chifflier/nfqueue-go"
)

// Finder finds owners, on Linux.
type Finder struct {
	NetNS int
}

// Find returns errors.ErrUnsupported.
func (f *Finder) Find(nfqueue.Flow, uint32) (Owner, error) { return Owner{}, errors.ErrUnsupported }
