// SPDX-License-Identifier: GPL-2.0-or-later

package packetview

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
)

// TestHabits are forms that tcpdump has too.
func TestHabits(t *testing.T) {
	data := nfqueuetest.UDP(netip.MustParseAddrPort("192.0.2.1:1000"),
		netip.MustParseAddrPort("192.0.2.2:2000"), []byte("a\x00\nb"))
	first := time.Date(2026, 3, 4, 5, 6, 7, 8000, time.Local)
	record := func(at time.Time) *Record {
		return &Record{Time: at, Family: nfqueue.FamilyIPv4, Out: "eth0", Hook: nfqueue.HookOutput,
			Verdict: nfqueue.Accept, Data: data, Length: len(data)}
	}
	const line = "eth0 output IP 192.0.2.1:1000 > 192.0.2.2:2000: UDP, length 4\n"
	for _, test := range []struct {
		printer       Printer
		first, second string
	}{
		{Printer{}, "05:06:07.000008 " + line, "05:07:07.500008 " + line},
		{Printer{Stamp: StampNone}, line, line},
		{Printer{Stamp: StampSince}, "00:00:00.000000 " + line, "00:01:00.500000 " + line},
		{Printer{Stamp: StampDate}, "2026-03-04 05:06:07.000008 " + line, "2026-03-04 05:07:07.500008 " +
			line},
		{Printer{Stamp: StampNone, Brief: true}, line, line},
	} {
		one := string(test.printer.Append(nil, record(first)))
		two := string(test.printer.Append(nil, record(first.Add(time.Minute+time.Second/2))))
		if one != test.first || two != test.second {
			t.Errorf("%+v: %q, %q", test.printer, one, two)
		}
	}
	ascii := Printer{Stamp: StampNone, ASCII: true}
	if got := string(ascii.Append(nil, record(first))); len(got) != len(line)+len(data)+1 ||
		!strings.HasPrefix(got, line+"E") || !strings.HasSuffix(got, ".a.\nb\n") {
		t.Errorf("%q", got)
	}
	unix := Printer{Stamp: StampUnix}
	if got := string(unix.Append(nil, record(time.Unix(1772600767,
		8000)))); got != "1772600767.000008 "+line {
		t.Errorf("%q", got)
	}
}
