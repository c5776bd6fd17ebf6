// SPDX-License-Identifier: GPL-2.0-or-later

//go:build linux

package main

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"os"

	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/impair"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// linkFlags are the flags of impair and run for links, that of the answers and both of them.
type linkFlags struct {
	packets  [2]string // which flags say what goes each way
	back     string
	schedule string
	seed     uint64
}

func (f *linkFlags) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.schedule, "schedule", "", "change the settings as `FILE` says")
	flags.Uint64Var(&f.seed, "seed", 0, "repeat the chance of the run with this `NUMBER` (default a new one, which is shown)")
	noValues(cmd, "seed")
}

// config says in cfg, which has its rules, what the links do: there what settings say, and back too unless there is --back.
func (f *linkFlags) config(flags *pflag.FlagSet, settings impair.Settings, cfg *impair.Config) (err error) {
	cfg.Settings = [2]impair.Settings{settings, settings}
	if flags.Changed("back") {
		if cfg.Settings[impair.Back], err = impair.ParseSettings(f.back); err != nil {
			return fmt.Errorf("--back %q: %w", f.back, err)
		}
		if len(cfg.Rules[impair.Back]) == 0 {
			return fmt.Errorf("--back needs %s", f.packets[impair.Back])
		}
	}
	if f.schedule != "" {
		if cfg.Schedule, err = readSchedule(f.schedule); err != nil {
			return err
		}
	}
	for _, step := range cfg.Schedule {
		if way := step.Ways[0]; len(step.Ways) == 1 && len(cfg.Rules[way]) == 0 {
			return fmt.Errorf("%s: it has settings for the way %v, which needs %s", f.schedule, way, f.packets[way])
		}
	}
	cfg.Seed = f.seed
	if !flags.Changed("seed") {
		cfg.Seed = newSeed()
	}
	return nil
}

func readSchedule(name string) (impair.Schedule, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("--schedule: %w", err)
	}
	defer func() { _ = file.Close() }()
	return impair.ParseSchedule(name, file)
}

// newSeed returns one that is easily typed.
func newSeed() uint64 {
	var b [4]byte
	rand.Read(b[:])
	return uint64(binary.NativeEndian.Uint32(b[:]))
}
