// SPDX-License-Identifier: GPL-2.0-or-later

// Package procfd finds in /proc which processes have a socket, and which netlink socket has a port
// id.
package procfd

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Sockets finds processes by the inodes of their sockets. It remembers them, since a look at the
// descriptors of all processes takes milliseconds. The zero value is ready. It is not for
// concurrent use.
type Sockets struct {
	holders map[uint64][]holder // by inode
}

// holder is a descriptor of a socket.
type holder struct {
	pid  int
	path string // /proc/PID/fd/N
}

// Find returns the ids of the processes that have the sockets, in ascending order. Processes whose
// descriptors the caller may not see are left out.
func (s *Sockets) Find(inodes map[uint64]bool) map[uint64][]int {
	known := len(inodes) > 0
	for inode := range inodes {
		known = known && s.stillHeld(inode)
	}
	if !known {
		s.holders = holders(inodes)
	}
	found := make(map[uint64][]int)
	for inode := range inodes {
		var pids []int
		for _, h := range s.holders[inode] {
			pids = append(pids, h.pid)
		}
		slices.Sort(pids)
		if pids = slices.Compact(pids); pids != nil {
			found[inode] = pids
		}
	}
	return found
}

// Name returns the name of a process (/proc/PID/comm), or an error if the process has ended.
func Name(pid int) (string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return strings.TrimSuffix(string(b), "\n"), err
}

func (s *Sockets) stillHeld(inode uint64) bool {
	for _, h := range s.holders[inode] {
		if target, err := os.Readlink(h.path); err != nil || target != link(inode) {
			return false
		}
	}
	return len(s.holders[inode]) > 0
}

func link(inode uint64) string { return fmt.Sprintf("socket:[%d]", inode) }

// holders looks through the descriptors of all processes.
func holders(inodes map[uint64]bool) map[uint64][]holder {
	found := make(map[uint64][]holder)
	if len(inodes) == 0 {
		return found
	}
	wanted := make(map[string]uint64)
	for inode := range inodes {
		wanted[link(inode)] = inode
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
				found[inode] = append(found[inode], holder{pid, path})
			}
		}
	}
	return found
}
