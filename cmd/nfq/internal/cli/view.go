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
type view struct{ verbose, hex, json bool }

func (v *view) flags(f *pflag.FlagSet) {
	f.BoolVarP(&v.verbose, "verbose", "v", false, "show all that is known: user, program, cgroup, devices, mark, conntrack and more")
	f.BoolVarP(&v.hex, "hex", "x", false, "show the bytes, from the network header on")
	f.BoolVar(&v.json, "json", false, "show an object in JSON in each line; -x adds the bytes")
}

func (v *view) check() error {
	if v.json && v.verbose {
		return errors.New("--json shows everything already; leave out -v")
	}
	return nil
}

// on returns what shows packets on a file.
func (v *view) on(file *os.File) *dump.Text {
	form := packetview.Printer{Colour: terminal.Colourful(file), Verbose: v.verbose, Hex: v.hex}.Append
	if v.json {
		form = func(b []byte, r *packetview.Record) []byte { return packetview.AppendJSON(b, r, v.hex) }
	}
	return dump.NewText(file, form)
}
