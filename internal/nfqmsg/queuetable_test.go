// SPDX-License-Identifier: GPL-2.0-or-later

package nfqmsg

import (
	"slices"
	"strings"
	"testing"
)

func TestParseQueueTable(t *testing.T) {
	const table = "    5   3021      9 2 65531     1     2       12  1\n" +
		"65535 4294967295 1024 1     0     0     0 4294967295  1\n"
	lines, err := ParseQueueTable([]byte(table))
	want := []QueueLine{
		{Queue: 5, PortID: 3021, Backlog: 9, CopyMode: 2, CopyRange: 65531, QueueDropped: 1,
			UserDropped: 2, LastID: 12},
		{Queue: 65535, PortID: 4294967295, Backlog: 1024, CopyMode: 1, LastID: 4294967295},
	}
	if err != nil || !slices.Equal(lines, want) {
		t.Errorf("%+v, %v; want %+v", lines, err, want)
	}
	for _, bad := range []string{"1 2 3\n", "a 1 2 3 4 5 6 7 1\n", "1 -1 2 3 4 5 6 7 1\n"} {
		if _, err := ParseQueueTable([]byte(bad)); err == nil ||
			!strings.Contains(err.Error(), "queue table") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
