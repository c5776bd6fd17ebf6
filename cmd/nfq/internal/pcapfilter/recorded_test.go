// SPDX-License-Identifier: GPL-2.0-or-later

package pcapfilter

import (
	"bufio"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write to testdata/libpcap.txt what libpcap answers")

// packet is one of testdata/libpcap.txt.
type packet struct {
	name string
	data []byte
}

func (p packet) packet() Packet { return Packet{Data: p.data, Length: len(p.data)} }

// expectation says which packets a filter matches, by a digit for each.
type expectation struct{ filter, matches string }

func readLibpcap(tb testing.TB) (packets []packet, all []expectation) {
	tb.Helper()
	f, err := os.Open("testdata/libpcap.txt")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		switch fields := strings.Split(lines.Text(), "\t"); fields[0] {
		case "packet":
			data, err := hex.DecodeString(fields[2])
			if err != nil {
				tb.Fatal(err)
			}
			packets = append(packets, packet{fields[1], data})
		case "filter":
			all = append(all, expectation{fields[1], fields[2]})
		}
	}
	if len(packets) < 20 || len(all) < 200 {
		tb.Fatalf("%d packets and %d filters", len(packets), len(all))
	}
	return packets, all
}

// TestRecorded compares with what libpcap has answered once, also where there is none.
func TestRecorded(t *testing.T) {
	packets, all := readLibpcap(t)
	if *update {
		record(t, packets, all)
	}
	for _, e := range all {
		f, err := Compile(e.filter)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		for i, p := range packets {
			if got, want := f.Match(p.packet()), e.matches[i] == '1'; got != want {
				t.Errorf("%q matches %s: %v, want %v", e.filter, p.name, got, want)
			}
		}
	}
}

// record asks libpcap, and writes its answers to the file and to all.
func record(t *testing.T, packets []packet, all []expectation) {
	t.Helper()
	of := make([]Packet, len(packets))
	text := "# Which packets each filter matches, as libpcap says. See README.md.\n"
	for i, p := range packets {
		of[i] = p.packet()
		text += fmt.Sprintf("packet\t%s\t%x\n", p.name, p.data)
	}
	theirs := newLibpcap(t, buildLibpcap(t), "RAW", 0, of)
	for i := range all {
		e := &all[i]
		if e.matches = theirs.match(t, e.filter)[0]; strings.HasPrefix(e.matches, "error") {
			t.Fatalf("%q: %s", e.filter, e.matches)
		}
		text += fmt.Sprintf("filter\t%s\t%s\n", e.filter, e.matches)
	}
	if err := os.WriteFile("testdata/libpcap.txt", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestMatchAllocatesNothing(t *testing.T) {
	packets, all := readLibpcap(t)
	for _, e := range all[:100] {
		f, err := Compile(e.filter)
		if err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(10, func() {
			for _, p := range packets {
				f.Match(p.packet())
			}
		}); n != 0 {
			t.Errorf("%q: %v allocations", e.filter, n)
		}
	}
}

func FuzzCompile(f *testing.F) {
	packets, all := readLibpcap(f)
	for _, e := range all[:150] {
		f.Add(e.filter)
	}
	f.Add("((((((len")
	f.Add("tcp[tcp[tcp[0]]:9]")
	f.Add(`portrange 1-ssh or (host (example or \host) and not 10.1) or net ::/0 or 192.0.2`)
	f.Add("net 192.0.2 mask 255.0.255 and src or dst 10")
	f.Fuzz(func(t *testing.T, text string) {
		filter, err := compile(text, fakeNames)
		if err != nil {
			if e := err.(*Error); e.Why == "" || e.Pos > len(text) {
				t.Errorf("%q: %#v", text, e)
			}
			return
		}
		for _, p := range packets {
			filter.Match(p.packet())
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	packets, _ := readLibpcap(b)
	f, err := Compile("tcp port 443 and host 192.0.2.1 and not net 10.0.0.0/8")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		f.Match(packets[0].packet())
	}
}
