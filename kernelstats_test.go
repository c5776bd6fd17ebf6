// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"strings"
	"testing"
)

func TestParseQueueTable(t *testing.T) {
	const table = "    5   3021      9 2 65531     1     2       12  1\n" +
		"65535 4294967295 1024 1     0     0     0 4294967295  1\n"
	infos, err := parseQueueTable([]byte(table))
	want := []QueueInfo{
		{Queue: 5, PortID: 3021, Backlog: 9, CopyMode: CopyPacket, CopyRange: 65531, QueueDropped: 1, UserDropped: 2, LastID: 12},
		{Queue: 65535, PortID: 4294967295, Backlog: 1024, CopyMode: CopyMeta, LastID: 4294967295},
	}
	if err != nil || len(infos) != 2 || infos[0] != want[0] || infos[1] != want[1] {
		t.Errorf("%+v, %v; want %+v", infos, err, want)
	}
	for _, bad := range []string{"1 2 3\n", "a 1 2 3 4 5 6 7 1\n", "1 -1 2 3 4 5 6 7 1\n"} {
		if _, err := parseQueueTable([]byte(bad)); err == nil || !strings.Contains(err.Error(), "queue table") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
