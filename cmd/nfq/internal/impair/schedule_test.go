// SPDX-License-Identifier: GPL-2.0-or-later

package impair

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestSchedule(t *testing.T) {
	got, err := ParseSchedule("file", strings.NewReader(`# all of it
0s	delay 20ms

10s loss 5% delay 100ms   # worse
10s back nothing
1m30s there rate 1mbit
`))
	want := Schedule{
		{0, []Way{There, Back}, Settings{Delay: 20 * time.Millisecond}},
		{10 * time.Second, []Way{There, Back}, Settings{Loss: 0.05, Delay: 100 * time.Millisecond}},
		{10 * time.Second, []Way{Back}, Settings{}},
		{90 * time.Second, []Way{There}, Settings{Rate: 1_000_000}},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	if n := len(got.of(Back)); n != 3 {
		t.Errorf("%d settings for the way back", n)
	}
}

func TestWrongSchedule(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "file: the schedule is empty",
		"# nothing\n":                   "file: the schedule is empty",
		"10 loss 5%":                    `file:1: at "10" (column 1): expected a time with its unit`,
		"10s":                           "file:1: at the end of the line: expected settings, or \"nothing\"",
		"10s back":                      "file:1: at the end of the line: expected settings",
		"\n10s loss":                    "file:2: at the end of the line: expected a value for loss",
		"10s los 5%":                    `file:1: at "los" (column 5): no such setting; did you mean "loss"?`,
		"10s nothing loss 5%":           `file:1: at "nothing" (column 5): expected a setting`,
		"10s  loss 5x":                  `file:1: at "5x" (column 11): expected a percentage`,
		"10s loss 5%\n5s nothing":       `file:2: at "5s" (column 1): expected a time not before that of the line above, 10s`,
		"1s loss 5%\n2s sideways":       `file:2: at "sideways" (column 4)`,
		"1s delay 1s\n2s there gap 2\n": `file:2: at "gap" (column 10): gap needs reorder`,
	} {
		if _, err := ParseSchedule("file", strings.NewReader(text)); err == nil ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func FuzzSchedule(f *testing.F) {
	f.Add("10s loss 5% delay 100ms\n20s back nothing # end")
	f.Add("0s gemodel 1%,2%,3%,4%\n1m there rate 1.5gbit overhead 38")
	f.Add("0s delay 1s jitter 2s distribution pareto correlation 5% order free limit 7")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSchedule("file", strings.NewReader(text))
		if err != nil {
			return
		}
		for _, step := range s {
			again, err := ParseSettings(step.Settings.String())
			if err != nil {
				t.Fatalf("%q: %q is not understood: %v", text, step.Settings, err)
			}
			if again.String() != step.Settings.String() {
				t.Fatalf("%q becomes %q", step.Settings, again)
			}
			e := NewEngine(1, 0)
			e.Set(step.Settings)
			for now := range time.Duration(20) {
				if d := e.Decide(now, 1500, 0); d.At < now {
					t.Fatalf("%q: leaves at %v, before it comes at %v", step.Settings, d.At, now)
				}
			}
		}
	})
}
