// SPDX-License-Identifier: GPL-2.0-or-later

package stat

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Owner is a process that has a descriptor of the socket which has bound a queue.
type Owner struct {
	PID  int    `json:"pid"`
	Name string `json:"name"` // as in /proc/PID/comm
}

// holder is a descriptor of a socket.
type holder struct {
	owner Owner
	path  string // /proc/PID/fd/N
}

// owners finds the processes that have sockets. It remembers them, since looking through all processes is slow.
type owners struct {
	holders map[uint64][]holder // by inode
}

// find returns the owners of sockets by inode. Processes whose descriptors the caller may not see are left out.
func (o *owners) find(inodes map[uint64]bool) map[uint64][]Owner {
	known := len(inodes) > 0
	for inode := range inodes {
		known = known && o.stillHeld(inode)
	}
	if !known {
		o.holders = holders(inodes)
	}
	found := make(map[uint64][]Owner)
	for inode := range inodes {
		seen := make(map[int]bool)
		for _, h := range o.holders[inode] {
			if !seen[h.owner.PID] {
				seen[h.owner.PID] = true
				found[inode] = append(found[inode], h.owner)
			}
		}
	}
	return found
}

func (o *owners) stillHeld(inode uint64) bool {
	for _, h := range o.holders[inode] {
		if target, err := os.Readlink(h.path); err != nil || target != socketLink(inode) {
			return false
		}
	}
	return len(o.holders[inode]) > 0
}

func socketLink(inode uint64) string { return fmt.Sprintf("socket:[%d]", inode) }

// holders looks through the descriptors of all processes.
func holders(inodes map[uint64]bool) map[uint64][]holder {
	found := make(map[uint64][]holder)
	if len(inodes) == 0 {
		return found
	}
	wanted := make(map[string]uint64)
	for inode := range inodes {
		wanted[socketLink(inode)] = inode
	}
	processes, _ := os.ReadDir("/proc")
	for _, p := range processes {
		pid, err := strconv.Atoi(p.Name())
		if err != nil {
			continue
		}
		dir := filepath.Join("/proc", p.Name(), "fd")
		// A process that ends meanwhile, or belongs to somebody else, has none.
		descriptors, _ := os.ReadDir(dir)
		for _, d := range descriptors {
			path := filepath.Join(dir, d.Name())
			target, err := os.Readlink(path)
			if inode, ok := wanted[target]; ok && err == nil {
				found[inode] = append(found[inode], holder{Owner{pid, processName(pid)}, path})
			}
		}
	}
	return found
}

func processName(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(b), "\n")
}
