// SPDX-License-Identifier: GPL-2.0-or-later

package cli

import (
	"bytes"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/impair"
)

// TestImpairScreen: a terminal gets one table, drawn again in its place.
func TestImpairScreen(t *testing.T) {
	var out bytes.Buffer
	s := impairScreen{out: &out, terminal: true, settings: make([]impair.Settings, 1)}
	report := []impair.Report{{Counters: impair.Counters{Packets: 1000, Bytes: 1_500_000, Passed: 900, PassedBytes: 1_350_000, Lost: 100}}}
	s.draw(report, time.Second, false)
	s.seen, s.at = report, time.Second
	report = []impair.Report{{Counters: impair.Counters{Packets: 2000, Bytes: 3_000_000, Passed: 1800, PassedBytes: 2_700_000, Lost: 200}}}
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
