// SPDX-License-Identifier: GPL-2.0-or-later

package stat

import "github.com/chifflier/nfqueue-go/internal/procfd"

// Owner is a process that has a descriptor of the socket which has bound a queue.
type Owner struct {
	PID  int    `json:"pid"`
	Name string `json:"name"` // as in /proc/PID/comm
}

// findOwners returns the owners of sockets by inode. Processes whose descriptors the caller may not
// see are left out.
func findOwners(sockets *procfd.Sockets, inodes map[uint64]bool) map[uint64][]Owner {
	found := make(map[uint64][]Owner)
	for inode, pids := range sockets.Find(inodes) {
		for _, pid := range pids {
			name, _ := procfd.Name(pid) // empty if the process has just ended
			found[inode] = append(found[inode], Owner{pid, name})
		}
	}
	return found
}
