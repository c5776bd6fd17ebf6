// SPDX-License-Identifier: GPL-2.0-or-later

package owner

import (
	"fmt"
	"os"
	"strings"
)

// overflowUID stands for ids that have none in a user namespace (/proc/sys/kernel/overflowuid).
const overflowUID = 65534

// mapped returns a user id of the initial user namespace, as a packet has it, as one of the
// caller's namespace, as sockets have it. It is exact for the initial namespace and those made from it.
func mapped(uid uint32) (uint32, error) {
	table, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return 0, err
	}
	return mappedBy(string(table), uid), nil
}

// mappedBy is mapped for a table in the form of user_namespaces(7).
func mappedBy(table string, uid uint32) uint32 {
	for line := range strings.Lines(table) {
		var inside, outside, count uint64
		if _, err := fmt.Sscan(line, &inside, &outside, &count); err != nil {
			continue
		}
		if id := uint64(uid); id >= outside && id-outside < count {
			return uint32(id - outside + inside)
		}
	}
	return overflowUID
}
