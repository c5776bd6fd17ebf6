// SPDX-License-Identifier: GPL-2.0-or-later

//go:build linux

package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/impair"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/rules"
	"github.com/spf13/pflag"
)

// runFlags are the flags of run that say which packets are concerned, and how they are impaired.
type runFlags struct {
	in, out  []string
	settings string
	linkFlags
}

// rules returns those of the packets that are watched.
func (f *runFlags) rules() (all []rules.Rule, anyQueue bool, err error) {
	texts := append(hooked("in", f.in), hooked("out", f.out)...)
	if len(texts) == 0 {
		texts = []string{"in", "out"}
	}
	return parseRules([]string{strings.Join(texts, " or ")})
}

// hooked adds the hook to rules.
func hooked(hook string, texts []string) (all []string) {
	for _, text := range texts {
		for one := range strings.SplitSeq(text, " or ") {
			all = append(all, hook+" "+one)
		}
	}
	return all
}

// impairs reports whether packets are to be impaired.
func (f *runFlags) impairs(flags *pflag.FlagSet) bool {
	return flags.Changed("impair") || flags.Changed("back") || flags.Changed("schedule")
}

// link returns how packets are impaired.
func (f *runFlags) link(flags *pflag.FlagSet) (*impair.Config, error) {
	if flags.Changed("verdict") {
		return nil, errors.New("packets that are impaired get their verdict from that; leave out --verdict")
	}
	texts := [2][]string{impair.There: hooked("out", f.out), impair.Back: hooked("in", f.in)}
	if len(f.in)+len(f.out) == 0 {
		// Packets on loopback leave and arrive; once is enough.
		texts = [2][]string{impair.There: {"out"}, impair.Back: {"in iif " + netlab.Eth}}
	}
	cfg := new(impair.Config)
	for way, all := range texts {
		if len(all) == 0 {
			continue
		}
		var anyQueue bool
		var err error
		if cfg.Rules[way], anyQueue, err = parseRules([]string{strings.Join(all, " or ")}); err != nil {
			return nil, err
		}
		if !anyQueue {
			return nil, errors.New("packets that are impaired go through queues that are chosen by themselves; leave the queue out of the rules")
		}
	}
	var settings impair.Settings
	if flags.Changed("impair") {
		var err error
		if settings, err = impair.ParseSettings(f.settings); err != nil {
			return nil, fmt.Errorf("--impair %q: %w", f.settings, err)
		}
	}
	return cfg, f.config(flags, settings, cfg)
}
