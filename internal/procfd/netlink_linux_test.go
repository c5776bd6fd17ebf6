// SPDX-License-Identifier: GPL-2.0-or-later

package procfd

import (
	"strings"
	"testing"
)

func TestParseNetfilter(t *testing.T) {
	const titles = "sk               Eth Pid        Groups   " +
		"Rmem     Wmem     Dump  Locks    Drops    Inode\n"
	sockets, err := ParseNetfilter([]byte(titles +
		"00000000e2a6d1a8 0   4711       00000000 0        0        0     2        0        100     \n" +
		"0000000011111111 12  4711       00000000 2304     0        0     2        7        5002    \n" +
		"0000000022222222 12  4294963199 00000000 0        0        0     2        0        5003    \n"))
	if err != nil || len(sockets) != 2 || sockets[4711] != (Netlink{5002, 2304}) ||
		sockets[4294963199] != (Netlink{5003, 0}) {
		t.Errorf("%v, %v", sockets, err)
	}
	for _, bad := range []string{
		"a b c\n", "1 12 x 0 0 0 0 0 0 1\n", "1 12 1 0 x 0 0 0 0 1\n", "1 12 1 0 0 0 0 0 0 -1\n",
	} {
		if _, err := ParseNetfilter([]byte(titles + bad)); err == nil ||
			!strings.Contains(err.Error(), "netlink sockets") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
