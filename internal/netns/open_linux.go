// SPDX-License-Identifier: GPL-2.0-or-later

package netns

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Dir is where iproute2 keeps named network namespaces.
const Dir = "/run/netns"

// Open opens the network namespace of a process id, a path, or a name in Dir. The caller closes it.
func Open(s string) (*os.File, error) {
	path := filepath.Join(Dir, s)
	if _, err := strconv.ParseUint(s, 10, 32); err == nil {
		path = "/proc/" + s + "/ns/net"
	} else if strings.Contains(s, "/") {
		path = s
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no network namespace %q; give a name that 'ip netns list' shows, "+
			"a process id, or a path such as /proc/PID/ns/net: %w", s, err)
	}
	if err != nil {
		return nil, fmt.Errorf("network namespace %q: %w", s, err)
	}
	if !isNetNS(int(f.Fd())) {
		return nil, errors.Join(fmt.Errorf("%s is not a network namespace", path), f.Close())
	}
	return f, nil
}

// isNetNS reports whether a descriptor is a network namespace.
func isNetNS(fd int) bool {
	kind, err := unix.IoctlRetInt(fd, unix.NS_GET_NSTYPE)
	if !errors.Is(err, unix.ENOTTY) {
		return err == nil && kind == unix.CLONE_NEWNET
	}
	// 64-bit kernels such as Linux 6.1 refuse the ioctl of 32-bit programs. Then look at the file
	// system and the link. A namespace that is mounted elsewhere has another link; if it is of
	// another kind, entering it fails later.
	var fs unix.Statfs_t
	name, _ := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	other := strings.Contains(name, ":[") && !strings.HasPrefix(name, "net:[")
	return unix.Fstatfs(fd, &fs) == nil && fs.Type == unix.NSFS_MAGIC && !other
}

// Names returns the names in Dir.
func Names() []string {
	entries, _ := os.ReadDir(Dir)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
