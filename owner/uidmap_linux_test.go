// SPDX-License-Identifier: GPL-2.0-or-later

package owner

import "testing"

func TestMappedBy(t *testing.T) {
	const initial = "         0          0 4294967295\n"
	const container = "0 1000 1\n1 100000 65536\n"
	for _, c := range []struct {
		table      string
		uid, wants uint32
	}{
		{initial, 0, 0}, {initial, 4294967294, 4294967294},
		{container, 1000, 0}, {container, 100000, 1}, {container, 165535, 65536},
		{container, 0, overflowUID}, {container, 165536, overflowUID}, {"", 0, overflowUID},
	} {
		if got := mappedBy(c.table, c.uid); got != c.wants {
			t.Errorf("%d by %q: %d, want %d", c.uid, c.table, got, c.wants)
		}
	}
}
