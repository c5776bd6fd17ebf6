// SPDX-License-Identifier: GPL-2.0-or-later

package impair

import (
	"strings"
	"testing"
	"time"
)

func TestSettings(t *testing.T) {
	for _, test := range []struct {
		text string
		want Settings
	}{
		{"nothing", Settings{}},
		{"delay 50ms jitter 1.5ms distribution normal correlation 25% order free", Settings{
			Delay: 50 * time.Millisecond, Jitter: 1500 * time.Microsecond, Distribution: Normal,
			Correlation: 0.25, Order: OrderFree}},
		{"loss 2.5% burst 3", Settings{Loss: 0.025, Burst: 3}},
		{"gemodel 1%,10%,70%,0.1%", Settings{Model: LossModel{0.01, 0.1, 0.7, 0.001}}},
		{"delay 1s reorder 25% gap 5", Settings{Delay: time.Second, Reorder: 0.25, Gap: 5}},
		{"rate 1.5mbit overhead 38 limit 100", Settings{Rate: 1_500_000, Overhead: 38, Limit: 100}},
		{"corrupt 1% flip byte truncate 2% truncate-to 64 checksum repair", Settings{
			Corrupt: 0.01, Flip: FlipByte, Truncate: 0.02, TruncateTo: 64, Checksum: ChecksumRepair}},
	} {
		got, err := ParseSettings(test.text)
		if err != nil || got != test.want {
			t.Errorf("%q: %+v, %v", test.text, got, err)
		}
		if got.String() != test.text {
			t.Errorf("%q comes back as %q", test.text, got)
		}
	}
}

func TestRates(t *testing.T) {
	for text, want := range map[string]uint64{
		"1bit": 1, "512kbit": 512_000, "10Mbit": 10_000_000, "1.5gbit": 1_500_000_000,
		"1000gbit": maxRate,
	} {
		var s Settings
		if err := s.Set("rate", text); err != nil || s.Rate != want {
			t.Errorf("%s: %d, %v", text, s.Rate, err)
		}
	}
}

func TestWrongSettings(t *testing.T) {
	for text, want := range map[string]string{
		"":                               "expected settings",
		"los 5%":                         `at "los" (column 1): no such setting; did you mean "loss"?`,
		"los":                            `at "los" (column 1): no such setting; did you mean "loss"?`,
		"delay 5ms lat 1":                `at "lat" (column 11): expected a setting: delay, jitter`,
		"duplicat 5%":                    `at "duplicat" (column 1): no such setting; did you mean "duplicate"?`,
		"loss":                           "expected a value for loss",
		"delay 50":                       `at "50" (column 7): expected a time with its unit`,
		"delay -1s":                      `at "-1s" (column 7): expected a time`,
		"delay 1s loss 101%":             `at "101%" (column 15): expected a percentage`,
		"loss NaN":                       "expected a percentage",
		"loss 1% loss 2%":                `at "loss" (column 9): loss is given twice`,
		"rate 10m":                       "expected bits per second with their unit",
		"rate 1mbps":                     "expected bits per second with their unit",
		"rate 0mbit":                     "expected bits per second with their unit",
		"rate 2000gbit":                  "expected bits per second with their unit",
		"delay 1s jitter 1s order loose": "expected keep or free",
		"limit 0":                        "expected a whole number, 1 or more",
		"limit 70000":                    "want 1 to 60000",
		"burst 2":                        "burst needs a loss",
		"loss 90% burst 2":               "want 9 or more",
		"loss 100% burst 2":              "makes no sense",
		"loss 1% gemodel 1%":             "gemodel replaces loss",
		"gemodel 1%,2%,3%,4%,5%":         "at most four",
		"gemodel 1%,x":                   `"x": expected a percentage`,
		"jitter 1s correlation 100%":     "want less",
		"correlation 10%":                "correlation needs a jitter",
		"distribution normal":            "distribution normal needs a jitter",
		"order free":                     "order free needs a jitter",
		"reorder 5%":                     "reorder needs a delay",
		"delay 1s gap 3":                 "gap needs reorder",
		"overhead 14":                    "overhead needs a rate",
		"flip byte":                      "flip needs corrupt",
		"truncate-to 3":                  "truncate-to needs truncate",
		"checksum repair":                "checksum needs",
	} {
		if _, err := ParseSettings(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// TestNetemWords are settings as tc-netem(8) has them.
func TestNetemWords(t *testing.T) {
	for text, want := range map[string]string{
		"delay 100ms 10ms":                  "delay 100ms jitter 10ms",
		"delay 100ms 10ms 25%":              "delay 100ms jitter 10ms correlation 25%",
		"latency 100ms loss random 5%":      "delay 100ms loss 5%",
		"loss 5 limit 10":                   "loss 5% limit 10",
		"loss gemodel 1% 10%":               "gemodel 1%,10%,100%,0%",
		"loss gemodel 1% 10% 70% 0.1%":      "gemodel 1%,10%,70%,0.1%",
		"rate 1mbit 38":                     "rate 1mbit overhead 38",
		"delay 10ms reorder 25% gap 5":      "delay 10ms reorder 25% gap 5",
		"delay 1ms 1ms distribution normal": "delay 1ms jitter 1ms distribution normal",
	} {
		s, err := ParseSettings(text)
		if got := s.String(); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"delay 1ms duplicate 1%":    `at "duplicate" (column 11): packets cannot be duplicated`,
		"slot 1ms 2ms":              `at "slot" (column 1): there are no slots`,
		"loss 5% 25%":               `at "25%" (column 9): losses have no correlation`,
		"loss 5% ecn":               `at "ecn" (column 9): packets are lost, not marked`,
		"loss state 1%":             `at "state" (column 6): there is no model of four states`,
		"delay 9ms reorder 5% 50%":  `at "50%" (column 22): only the jitter has a correlation`,
		"corrupt 5% 50%":            `at "50%" (column 12): only the jitter has a correlation`,
		"loss gemodel":              "expected a value for gemodel",
		"delay 9ms 1ms jitter 2ms":  `at "jitter" (column 15): jitter is given twice`,
		"loss 1% seed 7":            `at "seed" (column 9): the seed is a flag`,
		"delay 99h":                 "delay and jitter are at most 1h0m0s",
		"truncate 5% truncate-to 5": "truncate-to is 5; want 20 or more",
	} {
		if _, err := ParseSettings(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestParseLeading(t *testing.T) {
	s, rest, err := ParseLeading(strings.Fields("delay 5ms 1ms loss random 2% out udp dport 53"),
		Settings{Limit: 9}, "limit")
	if err != nil || s.String() != "delay 5ms jitter 1ms loss 2% limit 9" ||
		strings.Join(rest, " ") != "out udp dport 53" {
		t.Errorf("%v, %q, %v", s, rest, err)
	}
	if _, _, err := ParseLeading([]string{"limit", "5"}, Settings{Limit: 9}, "limit"); err == nil {
		t.Error("a setting is taken from a flag and from a word")
	}
}
