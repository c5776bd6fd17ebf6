// SPDX-License-Identifier: GPL-2.0-or-later

package rules

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// group is a control group of version 2: its id, and how many others it is in.
type group struct {
	id    uint64
	level uint32
}

// findGroup looks a control group up, as nft does: the id is that of the inode of its directory. An
// empty path is none.
func findGroup(path string) (group, error) {
	if path == "" {
		return group{}, nil
	}
	root, err := cgroupMount()
	if err != nil {
		return group{}, err
	}
	dir := filepath.Join(root, path)
	var stat unix.Stat_t
	err = unix.Stat(dir, &stat)
	if errors.Is(err, fs.ErrNotExist) {
		return group{}, fmt.Errorf("there is no control group %s (%s); it has to exist before the "+
			"rules: %w", path, dir, err)
	}
	if err != nil {
		return group{}, fmt.Errorf("control group %s: %w", dir, err)
	}
	return group{id: stat.Ino, level: uint32(strings.Count(path, "/"))}, nil
}

// cgroupMount returns where control groups of version 2 are mounted.
func cgroupMount() (string, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", fmt.Errorf("/proc is not mounted, which tells where control groups are; mount "+
			"it with: mount -t proc proc /proc (%w): %w", errors.ErrUnsupported, err)
	}
	for line := range strings.Lines(string(mounts)) {
		before, after, _ := strings.Cut(line, " - ")
		fields := strings.Fields(before)
		if strings.HasPrefix(after, "cgroup2 ") && len(fields) > 4 {
			return fields[4], nil
		}
	}
	return "", fmt.Errorf("no control groups of version 2 are mounted (ip netns exec hides them); "+
		"mount them, as with mount -t cgroup2 none /sys/fs/cgroup: %w", errors.ErrUnsupported)
}
