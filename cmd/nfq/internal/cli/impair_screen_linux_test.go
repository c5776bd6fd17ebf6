// SPDX-License-Identifier: GPL-2.0-or-later

package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/impair"
)

// TestImpairScreen: a terminal gets one table, drawn again in its place.
func TestImpairScreen(t *testing.T) {
	var out bytes.Buffer
	s := impairScreen{out: &out, columns: func() int { return 120 }}
	report := []impair.Report{
		{
			Counters: impair.Counters{
				Packets:     1000,
				Bytes:       1_500_000,
				Passed:      900,
				PassedBytes: 1_350_000,
				Lost:        100,
			},
		},
	}
	s.draw(report, time.Second, false)
	s.seen, s.at = report, time.Second
	report = []impair.Report{
		{
			Counters: impair.Counters{
				Packets:     2000,
				Bytes:       3_000_000,
				Passed:      1800,
				PassedBytes: 2_700_000,
				Lost:        200,
			},
		},
	}
	s.draw(report, 2*time.Second, false)
	const want = "" +
		"   1.0s  packets    bytes  passed  lost  full  corrupt  cut  ahead  waiting  packets/s   bit/s\n" +
		"  there     1000  1500000     900   100     0        0    0      0        0        900  10.80M\n" +
		"\x1b[2A\x1b[J" +
		"   2.0s  packets    bytes  passed  lost  full  corrupt  cut  ahead  waiting  packets/s   bit/s\n" +
		"  there     2000  3000000    1800   200     0        0    0      0        0        900  10.80M\n"
	if out.String() != want {
		t.Errorf("drawn:\n%s\nwant:\n%s", &out, want)
	}
}

// TestImpairTableFits: no line is longer than the terminal is wide, and every counter that is not
// zero is there.
func TestImpairTableFits(t *testing.T) {
	report := []impair.Report{
		{
			Counters: impair.Counters{
				Packets:     123456789,
				Bytes:       1_500_000_000_000,
				Passed:      113456789,
				PassedBytes: 1_350_000_000_000,
				Lost:        9999999,
				Full:        17,
			},
		},
		{
			Way: impair.Back,
			Counters: impair.Counters{
				Packets:     42,
				Bytes:       4242,
				Passed:      41,
				PassedBytes: 4141,
				Waiting:     1,
			},
		},
	}
	for width := 24; width <= 140; width++ {
		s := impairScreen{columns: func() int { return width }}
		lines := s.table(report, 3*time.Second, false)
		for _, line := range lines {
			if len(line) > width {
				t.Errorf("width %d: %q has %d", width, line, len(line))
			}
		}
		all := strings.Join(lines, "\n")
		for _, want := range []string{"123456789", "1500000000000", "113456789", "9999999", "17", "4242",
			"full", "waiting"} {
			if !strings.Contains(all, want) {
				t.Errorf("width %d: %s is missing in\n%s", width, want, all)
			}
		}
		if zeros := strings.Contains(all, "cut"); zeros != (width >= 110) {
			t.Errorf("width %d:\n%s", width, all)
		}
		if width >= 89 && len(lines) != 3 {
			t.Errorf("width %d: folded to\n%s", width, all)
		}
	}
}

// TestImpairChange: a change of settings is said above the table, which stays.
func TestImpairChange(t *testing.T) {
	var out bytes.Buffer
	s := impairScreen{out: &out, columns: func() int { return 10 }}
	s.put([]string{"12345678901", "1"})
	s.change(impair.Change{At: 2 * time.Second, Way: impair.Back, Settings: impair.Settings{Loss: 1}})
	const want = "12345678901\n1\n\x1b[3A\x1b[J   2.0s  back   now loss 100%\n12345678901\n1\n"
	if out.String() != want {
		t.Errorf("%q, want %q", &out, want)
	}
}
