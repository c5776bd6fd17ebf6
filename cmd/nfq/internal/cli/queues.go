// SPDX-License-Identifier: GPL-2.0-or-later

//go:build linux

package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// parseQueues reads "7" or "0-3".
func parseQueues(text string) (first, count uint16, err error) {
	r, ok := parseQueueRange(text)
	if !ok || r.last-r.first == 65535 {
		return 0, 0, fmt.Errorf("--queue %q: want a number from 0 to 65535, or a range such as 0-3", text)
	}
	return r.first, r.last - r.first + 1, nil
}

// queueRange is consecutive queues.
type queueRange struct{ first, last uint16 }

func (r queueRange) has(queue uint16) bool { return queue >= r.first && queue <= r.last }

func (r queueRange) String() string {
	if r.first == r.last {
		return strconv.Itoa(int(r.first))
	}
	return fmt.Sprintf("%d-%d", r.first, r.last)
}

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

// queueNames names queues, consecutive ones as a range: "queue 3", "queues 0-3 and 7".
func queueNames(queues []uint16) string {
	queues = slices.Sorted(slices.Values(queues))
	var names []string
	for i := 0; i < len(queues); {
		last := i
		for last+1 < len(queues) && queues[last+1] == queues[last]+1 {
			last++
		}
		name := strconv.Itoa(int(queues[i]))
		if last > i {
			name += "-" + strconv.Itoa(int(queues[last]))
		}
		names = append(names, name)
		i = last + 1
	}
	switch n := len(names); {
	case len(queues) == 1:
		return "queue " + names[0]
	case n > 1:
		names = append(names[:n-2], names[n-2]+" and "+names[n-1])
	}
	return "queues " + strings.Join(names, ", ")
}

// checkDescriptors returns an error if the process may not open n queues, each of which is a
// descriptor.
func checkDescriptors(n int) error {
	const others = 32 // descriptors of the process itself
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil ||
		uint64(n)+others <= limit.Cur {
		return nil
	}
	return unavailableError{
		fmt.Errorf("%d queues need a file descriptor each, and this process may have %d; "+
			"name fewer queues, or raise the limit with ulimit -n", n, limit.Cur),
	}
}
