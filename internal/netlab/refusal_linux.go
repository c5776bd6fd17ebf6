// SPDX-License-Identifier: GPL-2.0-or-later

package netlab

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// refusal explains why the kernel did not make a usable user namespace. sysctl reads one below
// /proc/sys, "" if absent.
func refusal(err error, sysctl func(path string) string) error {
	var why string
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EUSERS):
		why = "raise the sysctls user.max_user_namespaces and user.max_net_namespaces"
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
		why = "the kernel lacks CONFIG_USER_NS or CONFIG_NET_NS"
	case sysctl("kernel/unprivileged_userns_clone") == "0":
		why = "set the sysctl kernel.unprivileged_userns_clone to 1"
	case sysctl("kernel/apparmor_restrict_unprivileged_userns") == "1":
		why = "AppArmor restricts them: set the sysctl kernel.apparmor_restrict_unprivileged_userns to 0"
	case sysctl("user/max_user_namespaces") == "0":
		why = "raise the sysctl user.max_user_namespaces"
	default:
		why = "a container's seccomp filter, a chroot or a security module forbids it"
	}
	return fmt.Errorf(
		"netlab: no capabilities CAP_SYS_ADMIN and CAP_NET_ADMIN, and no user namespace to have them "+
			"in: %w; run as root (sudo), or: %s",
		err,
		why,
	)
}

// readSysctl returns the value of a sysctl of the machine, "" if it is not there.
func readSysctl(path string) string {
	b, err := os.ReadFile("/proc/sys/" + path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
