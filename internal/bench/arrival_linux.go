// SPDX-License-Identifier: GPL-2.0-or-later

package bench

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// superArrives reports whether a super-packet of UDP gets over lo as it is. Linux 5.10 and before cut it there
// (NETIF_F_GSO_UDP_L4), and lose segments when many come at once.
func superArrives() bool {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return true
	}
	var major, minor int
	_, err := fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &major, &minor)
	return err != nil || major > 5 || major == 5 && minor > 10
}
