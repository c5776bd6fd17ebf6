// SPDX-License-Identifier: GPL-2.0-or-later

package rules

import (
	"errors"
	"strconv"

	"github.com/chifflier/nfqueue-go"
)

// OwnerID is the id of a user or group. The zero value is any, since every number, 0 too, is an id.
type OwnerID struct {
	set    bool
	number uint32
}

// NewOwnerID returns the id with a number, in the user namespace of the network namespace.
func NewOwnerID(number uint32) OwnerID { return OwnerID{set: true, number: number} }

// String returns the number, or "any".
func (o OwnerID) String() string {
	if !o.set {
		return "any"
	}
	return strconv.FormatUint(uint64(o.number), 10)
}

func ownerID(s string) (OwnerID, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return OwnerID{}, errors.New("expected the number of a user or group, such as 1000")
	}
	return NewOwnerID(uint32(n)), nil
}

func (r Rule) checkOwner(o OwnerID) error {
	if o.set && r.Hook != nfqueue.HookOutput && r.Hook != nfqueue.HookPostrouting {
		return errors.New("the sender is known at output and postrouting only")
	}
	if o.set && r.Family == nfqueue.FamilyBridge {
		return errors.New("the sender of a bridged packet is not known")
	}
	return nil
}
