// SPDX-License-Identifier: GPL-2.0-or-later

package rules

import (
	"strconv"
	"strings"
)

// CTState is a set of connection tracking states, in the kernel's numbering
// (NF_CT_STATE_BIT of linux/netfilter/nf_conntrack_common.h). Zero is any state.
type CTState uint32

// The states.
const (
	CTInvalid     CTState = 1 << 0
	CTEstablished CTState = 1 << 1
	CTRelated     CTState = 1 << 2
	CTNew         CTState = 1 << 3
	CTUntracked   CTState = 1 << 6

	allCTStates = CTInvalid | CTEstablished | CTRelated | CTNew | CTUntracked
)

var ctStates = []struct {
	state CTState
	name  string
}{
	{CTNew, "new"}, {CTEstablished, "established"}, {CTRelated, "related"},
	{CTInvalid, "invalid"}, {CTUntracked, "untracked"},
}

// String lists the names of the states, joined by ",".
func (s CTState) String() string {
	var names []string
	for _, c := range ctStates {
		if s&c.state != 0 {
			names = append(names, c.name)
		}
	}
	if rest := s &^ allCTStates; rest != 0 {
		names = append(names, "0x"+strconv.FormatUint(uint64(rest), 16))
	}
	return strings.Join(names, ",")
}
