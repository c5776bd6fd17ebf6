// SPDX-License-Identifier: GPL-2.0-or-later

package stat

import (
	"strings"
	"testing"
	"time"
)

func TestRates(t *testing.T) {
	before := Queue{PortID: 1, LastID: 4294967290, QueueDropped: 10, SocketDropped: 20}
	for name, test := range map[string]struct {
		after  Queue
		passed time.Duration
		want   *Rates
	}{
		"counters that wrap": {Queue{PortID: 1, LastID: 4, QueueDropped: 11, SocketDropped: 20,
			Decided: 2}, 2 * time.Second, &Rates{5, 1, 0.5, 0}},
		"another socket": {Queue{PortID: 2, LastID: 4294967291, QueueDropped: 11, SocketDropped: 20},
			time.Second, nil},
		"bound again":       {Queue{PortID: 1, LastID: 4294967000}, time.Second, nil},
		"drops start again": {Queue{PortID: 1, LastID: 4294967291}, time.Second, nil},
		"no time passed":    {before, 0, nil},
	} {
		got := rates(before, test.after, test.passed)
		if (got == nil) != (test.want == nil) || got != nil && *got != *test.want {
			t.Errorf("%s: %+v, want %+v", name, got, test.want)
		}
	}
}

func TestTable(t *testing.T) {
	s := Snapshot{Queues: []Queue{
		{
			Queue: 0, PortID: 3021, Owners: []Owner{{3021, "nfq"}, {3030, "evil\x1b[2J"}}, Backlog: 9,
			CopyMode: "packet", CopyRange: 65531,
			QueueDropped: 1234, SocketDropped: 5, Rates: &Rates{Packets: 12034.4, QueueDropped: 0.25},
		},
		{Queue: 65535, PortID: 4294967295, CopyMode: "meta"},
	}}
	want := `QUEUE  PROCESS                         PORT ID  BACKLOG  COPY          PACKETS/S  QUEUE DROPS   /S  SOCKET DROPS  /S
    0  nfq (3021), evil?[2J (3030)        3021        9  packet 65531      12034         1234  0.2             5   0
65535  ?                            4294967295        0  meta                  -            0    -             0   -`
	if got := strings.Join(s.Table(0), "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestFrame(t *testing.T) {
	if got, want := frame([]string{"one", "two", "three", "four"}, 4, 2),
		"\x1b[Hon\x1b[K\ntw\x1b[K\n..\x1b[K\n\x1b[J"; got != want {
		t.Errorf("too many lines: %q, want %q", got, want)
	}
	if got, want := frame([]string{"one", "two"}, 4, 80),
		"\x1b[Hone\x1b[K\ntwo\x1b[K\n\x1b[J"; got != want {
		t.Errorf("all fits: %q, want %q", got, want)
	}
}

func TestListenAddress(t *testing.T) {
	for s, want := range map[string]string{
		":9099": "127.0.0.1:9099", "0.0.0.0:9099": "0.0.0.0:9099", "[::]:0": "[::]:0",
		"localhost:9099": "localhost:9099",
	} {
		if got, err := ListenAddress(s); got != want || err != nil {
			t.Errorf("%q: %q, %v; want %q", s, got, err, want)
		}
	}
	for _, s := range []string{"9099", "localhost", ":", ":65536", ":nonsense", "::1:9099"} {
		if got, err := ListenAddress(s); err == nil {
			t.Errorf("%q: %q, want an error", s, got)
		}
	}
}

// TestTableWidth: at any width the drops of a queue are there, and no line is longer if that can
// be.
func TestTableWidth(t *testing.T) {
	s := Snapshot{Queues: []Queue{{
		Queue: 7, PortID: 3021, Owners: []Owner{{3021, "a-long-name"}, {3030, "another-name"}},
		Backlog:  9,
		CopyMode: "packet", CopyRange: 65531, QueueDropped: 1234, SocketDropped: 5678,
		Rates: &Rates{Packets: 12034.4, QueueDropped: 0.2},
	}}}
	for width := 20; width <= 130; width++ {
		lines := s.Table(width)
		for _, line := range lines {
			if len(line) > width {
				t.Errorf("width %d: %q has %d", width, line, len(line))
			}
		}
		if !strings.Contains(lines[1], "1234") || !strings.Contains(lines[1], "5678") {
			t.Errorf("width %d: no drops in %q", width, lines[1])
		}
		if process := strings.Contains(lines[1], "a-long-name"); process != (width >= 64) {
			t.Errorf("width %d: %q", width, lines[1])
		}
	}
	if got := s.Table(140)[0]; got != s.Table(0)[0] {
		t.Errorf("%q", got)
	}
}
