// SPDX-License-Identifier: GPL-2.0-or-later

//go:build linux

package main

import (
	"strconv"
	"strings"
)

// queueRange is consecutive queues.
type queueRange struct{ first, last uint16 }

func (r queueRange) has(queue uint16) bool { return queue >= r.first && queue <= r.last }

// parseQueueRange reads "5" or "0-3".
func parseQueueRange(s string) (r queueRange, ok bool) {
	from, to, isRange := strings.Cut(s, "-")
	if !isRange {
		to = from
	}
	first, err1 := strconv.ParseUint(from, 10, 16)
	last, err2 := strconv.ParseUint(to, 10, 16)
	return queueRange{uint16(first), uint16(last)}, err1 == nil && err2 == nil && first <= last
}
