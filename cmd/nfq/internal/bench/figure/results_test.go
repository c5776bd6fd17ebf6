// SPDX-License-Identifier: GPL-2.0-or-later

package figure

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/bench/consumer"
)

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		figures []float64
		want    Spread
	}{
		{nil, Spread{}},
		{[]float64{3}, Spread{3, 3, 3}},
		{[]float64{4, 1}, Spread{2.5, 1, 4}},
		{[]float64{9, 1, 5}, Spread{5, 1, 9}},
	} {
		if got := spreadOf(c.figures); got != c.want {
			t.Errorf("%v: %v, want %v", c.figures, got, c.want)
		}
	}
}

func TestNumber(t *testing.T) {
	for f, want := range map[float64]string{0: "0", 0.1234: "0.123", 1.234: "1.23", 12.34: "12.3",
		123.4: "123", 123456: "123456", -1.234: "-1.23"} {
		if got := Number(f); got != want {
			t.Errorf("%g: %s, want %s", f, got, want)
		}
	}
}

// example has two tables, one of a rate and one of a time.
func example() *Results {
	table := func(workload string, less bool, figures map[string][]float64) *Table {
		t := &Table{
			Workload:  workload,
			Title:     "title of " + workload,
			Situation: "a < b",
			Metrics: []Metric{
				{Name: "first", Unit: "unit", Less: less},
				{Name: "second", Unit: "ns", Less: true, Drawn: less},
			},
		}
		for _, name := range []string{consumer.LibraryName, consumer.OurName} {
			row := &Row{Consumer: name}
			for _, f := range figures[name] {
				row.Add([]float64{f, 10 * f})
			}
			t.Rows = append(t.Rows, row)
		}
		return t
	}
	return &Results{Rounds: 3, Tables: []*Table{
		table(
			"drain",
			false,
			map[string][]float64{
				consumer.LibraryName: {100, 90, 110},
				consumer.OurName:     {400, 500, 300},
			},
		),
		table(
			"latency",
			true,
			map[string][]float64{
				consumer.LibraryName: {40, 40, 40},
				consumer.OurName:     {50, 20, 10},
			},
		),
	}}
}

func TestRatio(t *testing.T) {
	r := example()
	if got, ok := r.Tables[0].ratio(consumer.OurName, consumer.LibraryName); got != 4 || !ok {
		t.Errorf("more is better: %v, %v", got, ok)
	}
	if got, ok := r.Tables[1].ratio(consumer.OurName, consumer.LibraryName); got != 2 || !ok {
		t.Errorf("less is better: %v, %v", got, ok)
	}
	if got, ok := r.Tables[0].ratio(consumer.OurName, consumer.FloorName); ok {
		t.Errorf("not measured: %v", got)
	}
}

func TestText(t *testing.T) {
	var b bytes.Buffer
	if err := example().WriteText(&b); err != nil {
		t.Fatal(err)
	}
	_, got, _ := strings.Cut(b.String(), "\n")
	const want = `
== drain: title of drain

a < b
                      first, unit                 of the library  second, ns
  libnetfilter_queue          100  [90.0 to 110]           1.00x        1000
  nfqueue-go                  400   [300 to 500]           4.00x        4000

== latency: title of latency

a < b
                      first, unit                  of the library  second, ns
  libnetfilter_queue         40.0  [40.0 to 40.0]           1.00x         400
  nfqueue-go                 20.0  [10.0 to 50.0]           2.00x         200
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestJSON(t *testing.T) {
	file := filepath.Join(t.TempDir(), "r.json")
	r := example()
	if err := r.WriteJSON(file); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var back Results
	if err := json.Unmarshal(b, &back); err != nil || !reflect.DeepEqual(&back, r) {
		t.Errorf("%v\n%s", err, b)
	}
}

func TestSVG(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "charts")
	if err := example().WriteSVG(dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"drain.svg", "latency.svg"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		var bars []string
		for d := xml.NewDecoder(bytes.NewReader(b)); ; {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v\n%s", name, err, b)
			}
			if e, ok := token.(xml.StartElement); ok && e.Name.Local == "rect" {
				for _, a := range e.Attr {
					if a.Name.Local == "width" {
						bars = append(bars, a.Value)
					}
				}
			}
		}
		// The scale ends at the largest figure of any round: 500 and 50, and 500 for the second
		// metric of latency.
		want := map[string][]string{"drain.svg": {"84.0", "336.0"},
			"latency.svg": {"336.0", "168.0", "336.0", "168.0"}}[name]
		if !reflect.DeepEqual(bars, want) {
			t.Errorf("%s: bars %v, want %v", name, bars, want)
		}
	}
}
