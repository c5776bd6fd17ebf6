// SPDX-License-Identifier: GPL-2.0-or-later

//go:build linux

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// netnsHelp is the help of a flag for openNetNS.
const netnsHelp = "work in the network namespace `NAME` of ip netns, or in that of a path such as /proc/PID/ns/net"

// netnsDir is where ip netns keeps named namespaces.
const netnsDir = "/run/netns/"

// openNetNS opens a network namespace by its name or path.
func openNetNS(name string) (*os.File, error) {
	path := name
	if !strings.Contains(name, "/") {
		path = netnsDir + name
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("network namespace %q: there is no %s; ip netns list names those there are", name, path)
	}
	if err != nil {
		return nil, fmt.Errorf("network namespace %q: %w", name, err)
	}
	if kind, err := unix.IoctlRetInt(int(f.Fd()), unix.NS_GET_NSTYPE); err != nil || kind != unix.CLONE_NEWNET {
		_ = f.Close()
		return nil, fmt.Errorf("network namespace %q: %s is none", name, path)
	}
	return f, nil
}
