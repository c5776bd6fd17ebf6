// SPDX-License-Identifier: GPL-2.0-or-later

package netlab

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestRefusal(t *testing.T) {
	for _, c := range []struct {
		err    error
		sysctl map[string]string
		want   string
	}{
		{unix.EPERM, map[string]string{"kernel/unprivileged_userns_clone": "0"},
			"kernel.unprivileged_userns_clone to 1"},
		{unix.EPERM, map[string]string{"kernel/unprivileged_userns_clone": "1",
			"kernel/apparmor_restrict_unprivileged_userns": "1"},
			"kernel.apparmor_restrict_unprivileged_userns to 0"},
		{unix.EACCES, map[string]string{"user/max_user_namespaces": "0"}, "user.max_user_namespaces"},
		{unix.ENOSPC, nil, "user.max_user_namespaces"},
		{unix.EUSERS, nil, "user.max_user_namespaces"},
		{unix.EINVAL, nil, "CONFIG_USER_NS"},
		{unix.EPERM, nil, "seccomp"},
	} {
		err := refusal(c.err, func(path string) string { return c.sysctl[path] })
		if !errors.Is(err, c.err) || !strings.Contains(err.Error(), c.want) ||
			!strings.Contains(err.Error(), "sudo") {
			t.Errorf("%v, %v: %v", c.err, c.sysctl, err)
		}
	}
}
