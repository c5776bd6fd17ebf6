// SPDX-License-Identifier: GPL-2.0-or-later

//go:build linux

package cli

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/impair"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/terminal"
	"github.com/chifflier/nfqueue-go/rules"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const impairHelp = `impair makes the network worse for the packets that a rule matches, and leaves all others alone: it loses, delays,
reorders, slows down, damages and cuts them, until it is interrupted. What waits then goes on at once, and the rule is
removed. Should the program be killed, the kernel removes the rule and traffic flows on; only the packets that wait are lost.
Ctrl-Z stops the program and not the traffic: packets pass unimpaired until it goes on.

When a rule goes, the kernel drops what waits in the queues of other programs. So impair removes the last of its own when
nothing waits there. After five seconds it does so in any case, and says whose packets that cost. SIGKILL,
or a second SIGINT or SIGTERM, does it at once.

` + ruleWords + ` The word "or" stands between rules that
share one link. With --both the answers pass through a second link with the same settings, with --back one with its own.

A packet first may be lost, then waits for the link (rate), then is delayed. Delays keep the order of packets, unless order is
free. Times and percentages may be fractions. Settings may also stand before the rule, in the words of tc-netem. They are the
same in a schedule, a file with lines of a time since the start and all settings from then on ("there" and "back" name one
direction):

    10s  delay 100ms loss 5% burst 3
    20s  back rate 1mbit
    30s  nothing

Packets cannot be duplicated: the kernel takes each one back once, and a copy sent by other means would not take the same
way through rules, routing and connection tracking.`

const impairExamples = `  nfq impair --delay 50ms --jitter 10ms out tcp dport 443
  nfq impair --loss 2% --burst 4 --both out udp dport 53
  nfq impair delay 100ms 10ms loss random 5% out udp dport 53
  nfq impair --rate 10mbit --limit 100 --back 'rate 1mbit delay 30ms' forward ip daddr 192.0.2.0/24
  nfq impair --corrupt 1% --checksum repair in udp dport 4000 or in tcp dport 4000
  nfq impair --schedule worse.txt --seed 7 --duration 1m --json forward iif eth0`

type impairFlags struct {
	linkFlags
	settings impair.Settings
	both     bool
	netns    string
	duration time.Duration
	interval time.Duration
	json     bool
}

func newImpair() *cobra.Command {
	f := impairFlags{linkFlags: linkFlags{packets: [2]string{impair.Back: "--both or --back"}}}
	var cfg impair.Config
	cmd := &cobra.Command{
		Use:     "impair [flags] [SETTINGS] RULE",
		Short:   "Lose, delay, reorder, slow down and damage the packets of a rule",
		Long:    impairHelp,
		Example: impairExamples,

		ValidArgsFunction: completeRule,
		PreRunE: func(cmd *cobra.Command, args []string) (err error) {
			cfg, err = f.config(cmd.Flags(), args)
			return err
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context(), cfg) },
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		var unknown *pflag.NotExistError
		if errors.As(err, &unknown) {
			if reason := impair.Refusal(unknown.GetSpecifiedName()); reason != nil {
				return fmt.Errorf("%w; %w", err, reason)
			}
		}
		return explainDashes(cmd, err)
	})
	flags := cmd.Flags()
	flags.SortFlags = false
	for _, w := range impair.Words() {
		flags.Var(settingFlag{&f.settings, w}, w.Name, w.Help)
		completeFlag(cmd, w.Name, oneOf(w.Choices()...))
	}
	flags.BoolVar(&f.both, "both", false, "do the same to the answers")
	flags.StringVar(&f.back, "back", "", "do `SETTINGS` to the answers, written as in a schedule")
	f.linkFlags.flags(cmd)
	flags.DurationVar(&f.duration, "duration", 0, "end after this `TIME`")
	flags.DurationVar(&f.interval, "interval", time.Second,
		"show counters each `TIME`, 0 at the end only")
	flags.BoolVar(&f.json, "json", false, "show counters as lines of JSON")
	flags.StringVar(&f.netns, "netns", "", netnsUsage)
	noValues(cmd, "back", "duration", "interval")
	completeFlag(cmd, "netns", completeNetns)
	return cmd
}

// settingFlag is a flag for a setting.
type settingFlag struct {
	settings *impair.Settings
	word     impair.Word
}

func (f settingFlag) String() string         { return "" }
func (f settingFlag) Type() string           { return f.word.Value }
func (f settingFlag) Set(value string) error { return f.settings.Set(f.word.Name, value) }

// config makes a session out of the command line.
func (f *impairFlags) config(flags *pflag.FlagSet, args []string) (cfg impair.Config, err error) {
	var given []string
	for _, w := range impair.Words() {
		if flags.Changed(w.Name) {
			given = append(given, w.Name)
		}
	}
	words := strings.Fields(strings.Join(args, " "))
	if f.settings, words, err = impair.ParseLeading(words, f.settings, given...); err != nil {
		return cfg, err
	}
	if cfg.Rules[impair.There], cfg.FixedQueues, err = impairRules(words); err != nil {
		return cfg, err
	}
	if f.duration < 0 || f.interval < 0 {
		return cfg, errors.New("--duration and --interval must not be negative")
	}
	if f.both && flags.Changed("back") {
		return cfg, errors.New(
			"--both and --back exclude each other: --back has settings of its own for the answers",
		)
	}
	if err := f.settings.Validate(); err != nil {
		return cfg, err
	}
	if f.both || flags.Changed("back") {
		if cfg.Rules[impair.Back], err = impair.Mirror(cfg.Rules[impair.There]); err != nil {
			return cfg, err
		}
		for i := range cfg.Rules[impair.Back] {
			if cfg.Rules[impair.Back][i].Queue == math.MaxUint16 {
				return cfg, errors.New("the answers need the queue behind that of the rule, and " +
					"65535 is the last; name a lower one, or none")
			}
			cfg.Rules[impair.Back][i].Queue++
		}
	}
	if err := f.linkFlags.config(flags, f.settings, &cfg); err != nil {
		return cfg, err
	}
	if cfg.Settings == [2]impair.Settings{} && cfg.Schedule == nil {
		return cfg, errors.New(
			"nothing to do; give settings such as --delay 50ms or --loss 1%, or a --schedule",
		)
	}
	return cfg, nil
}

// impairRules reads the rules of the packets that share one link. fixed says that the queue is
// given.
func impairRules(args []string) (all []rules.Rule, fixed bool, err error) {
	if len(args) == 0 {
		return nil, false, errors.New(`a rule is missing, such as "out tcp dport 443"`)
	}
	if strings.ContainsAny(args[0][:1], "0123456789%") {
		return nil, false, fmt.Errorf(
			"%q is no part of a rule; settings with several values are written without dashes, as for tc: "+
				"nfq impair delay 100ms 10ms out tcp dport 443",
			args[0],
		)
	}
	all, anyQueue, err := parseRules(args)
	switch {
	case err != nil:
		return nil, false, settingInRule(err)
	case !anyQueue && len(all) > 1:
		return nil, false, errors.New(
			"several rules share a queue that is chosen by itself; leave the queue out",
		)
	case all[0].Queues > 1:
		return nil, false, errors.New(
			"a rule for several queues cannot be impaired, as they would not share one link; name one queue or none",
		)
	}
	return all, !anyQueue, nil
}

// settingInRule replaces the error of a rule if the word concerned is a setting, or was probably
// meant to be one.
func settingInRule(err error) error {
	var p *rules.ParseError
	if !errors.As(err, &p) {
		return err
	}
	before := strings.Fields("not " + p.Text[:p.Pos])
	last := before[len(before)-1]
	isValue := slices.Contains(append([]string{"iif", "oif", "ct", "!="}, valueWords...), last)
	meant := impair.Meant(p.Word)
	switch {
	case isValue || meant == "":
		return err
	case meant == p.Word:
		return fmt.Errorf("%q is a setting, and settings stand before the rule: "+
			"nfq impair delay 100ms out tcp dport 443", p.Word)
	}
	return fmt.Errorf("%q is neither a setting nor a word of a rule; did you mean %q?",
		p.Word, meant)
}

func (f *impairFlags) run(ctx context.Context, cfg impair.Config) (err error) {
	if f.netns != "" {
		ns, err := openNetNS(f.netns)
		if err != nil {
			return err
		}
		defer func() { _ = ns.Close() }()
		cfg.NetNS = int(ns.Fd())
	}
	cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
	var show *impairScreen
	cfg.OnChange = func(c impair.Change) { show.change(c) }
	session, err := impair.Open(cfg)
	if err != nil {
		return err
	}
	show = newImpairScreen(os.Stdout, f.json, session)
	show.begin(cfg.Seed, "; interrupt to end")
	defer terminal.OnStop(session.Pause, show.resume, warn)()

	limited, cancel := context.WithCancel(ctx)
	if f.duration > 0 {
		limited, cancel = context.WithTimeout(ctx, f.duration)
	}
	defer cancel()
	shown := make(chan struct{})
	go func() {
		defer close(shown)
		show.watch(limited, f.interval)
		cancel()
	}()
	err = session.Serve(limited, session)
	cancel()
	<-shown
	show.end()
	if err == nil && f.duration > 0 && ctx.Err() != nil {
		err = ctx.Err() // before it was done
	}
	return errors.Join(err, show.failed())
}

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
	flags.Uint64Var(&f.seed, "seed", 0,
		"repeat the chance of the run with this `NUMBER` (default a new one, which is shown)")
	noValues(cmd, "seed")
}

// config says in cfg, which has its rules, what the links do: there what settings say, and back too
// unless there is --back.
func (f *linkFlags) config(
	flags *pflag.FlagSet,
	settings impair.Settings,
	cfg *impair.Config,
) (err error) {
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
			return fmt.Errorf("%s: it has settings for the way %v, which needs %s", f.schedule, way,
				f.packets[way])
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
