// SPDX-License-Identifier: GPL-2.0-or-later

//go:build linux

package cli

import (
	"errors"
	"os"

	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/dump"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/packetview"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/terminal"
	"github.com/spf13/pflag"
)

// view is how packets are shown.
type view struct {
	verbose, hex, ascii, json, brief bool
	stamp                            int // how often -t is given
}

func (v *view) flags(f *pflag.FlagSet) {
	f.BoolVarP(&v.verbose, "verbose", "v", false,
		"show all that is known: user, program, cgroup, devices, mark, conntrack and more")
	f.BoolVarP(&v.hex, "hex", "x", false, "show the bytes, from the network header on")
	f.BoolVarP(&v.ascii, "ascii", "A", false, "show the bytes as ASCII")
	f.CountVarP(&v.stamp, "time", "t",
		"show -t no time, -tt seconds since 1970, -ttt since the packet before, -tttt also the date")
	f.BoolVar(&v.json, "json", false, "show an object in JSON in each line; -x adds the bytes")
}

// briefFlag adds -q as tcpdump has it.
func (v *view) briefFlag(f *pflag.FlagSet) {
	f.BoolVarP(&v.brief, "brief", "q", false, "show of protocols the name and the length only")
}

func (v *view) check() error {
	if v.json && v.verbose {
		return errors.New("--json shows everything already; leave out -v")
	}
	switch {
	case v.stamp > 4:
		return errors.New("-t is given at most four times")
	case v.brief && v.verbose:
		return errors.New("-q shows less and -v more; leave out one of them")
	}
	return nil
}

// tcpdumpFlags accepts the flags of tcpdump that ask for what nfq does anyway.
func tcpdumpFlags(f *pflag.FlagSet) {
	f.CountP("numeric", "n", "show numbers, not names, as is always done (from tcpdump)")
	for _, flag := range []struct{ name, short, usage string }{
		{"line-buffered", "l", "write each line at once, as is done when no more packets wait (from tcpdump)"},
		{"packet-buffered", "U", "record each packet at once, as is done when no more wait (from tcpdump)"},
		{"no-promiscuous-mode", "p", "leave the interface as it is, as is always done (from tcpdump)"},
	} {
		f.BoolP(flag.name, flag.short, false, flag.usage)
	}
}

// on returns what shows packets on a file.
func (v *view) on(file *os.File) *dump.Text {
	printer := packetview.Printer{
		Colour: terminal.Colourful(file), Verbose: v.verbose, Brief: v.brief, Hex: v.hex, ASCII: v.ascii,
		Stamp: packetview.Stamp(v.stamp),
	}
	form := printer.Append
	if v.verbose && terminal.Plain("µ") != "µ" {
		form = func(b []byte, r *packetview.Record) []byte {
			return append(b, terminal.Plain(string(printer.Append(nil, r)))...)
		}
	}
	if v.json {
		form = func(b []byte, r *packetview.Record) []byte { return packetview.AppendJSON(b, r, v.hex) }
	}
	return dump.NewText(file, form)
}
