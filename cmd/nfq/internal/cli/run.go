// SPDX-License-Identifier: GPL-2.0-or-later

//go:build linux

package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/confine"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/impair"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/intercept"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/rules"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const runHelp = `run runs a command in a network namespace of its own, and shows or records its packets as dump does. All packets there
are those of the command and its children, but for a few of the kernel's own; no other program is concerned. Packets are shown on the standard error, so
that the standard output is the command's.

Of --in and --out each takes a rule without its hook, such as 'tcp dport 443', and may be given several times. Without any
all packets are watched, those on loopback twice: as they leave and as they arrive.

--impair loses, delays, slows down and damages the packets too, with the settings of nfq impair: 'loss 5% delay 50ms'. What
leaves goes through one link and what arrives through another, with the same settings unless --back has some for what arrives.
Without --in and --out these are all packets; those on loopback are impaired once, as they leave. Packets are shown as they
were before. The counters at the end tell what became of them, and -q shows nothing else.

The namespace has loopback and, when nfq runs as root, a link to the system: its addresses, in private ranges, are shown at
the start. Servers of the system that listen on all addresses can be reached there, and from the system those of the
command. What is further away can only be reached if the system routes and translates addresses (net.ipv4.ip_forward
and a masquerade rule), which nfq leaves alone.

Users without privileges have a namespace with loopback only, where the kernel lets them make one. The command then
believes to be run by root, and has the rights of the user. Linux 7.1 and later drop what corrupt and truncate alter there.

Ctrl-Z stops nfq and the command; packets of children that go on pass meanwhile. Signals go to the command, and its exit status is that of nfq; nfq's own errors before it has started are 1 to 3, and 126
or 127 if it cannot be run or found. When the command ends, the rules are removed. Children that it leaves behind go on.`

const runExamples = `  nfq run -- curl http://10.1.2.1:8080/
  nfq run -v --out 'udp dport 53' -- ./resolver-test
  nfq run -w test.pcapng -- go test ./...
  nfq run --verdict drop --out 'tcp dport 443' -- ./program
  nfq run -q --impair 'loss 2% delay 50ms jitter 5ms' -- go test ./...
  nfq run --impair 'delay 20ms' --back 'delay 20ms rate 1mbit' -w slow.pcapng -- ./program`

func newRun() *cobra.Command {
	w := watch{text: os.Stderr}
	f := runFlags{linkFlags: linkFlags{packets: [2]string{"--out", "--in"}}}
	var cfg intercept.Config
	cmd := &cobra.Command{
		Use:     "run [flags] -- COMMAND [ARGUMENT]...",
		Short:   "Run a command and show, record or impair its packets",
		Long:    runHelp,
		Example: runExamples,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("a command is missing, such as in: nfq run -- ping -c 1 127.0.0.1")
			}
			return nil
		},
		PreRunE: func(cmd *cobra.Command, _ []string) (err error) {
			if w.write == "-" {
				return errors.New("-w - takes the standard output, which is the command's; record in a file")
			}
			if err = f.checkHooks(); err != nil {
				return err
			}
			switch {
			case f.impairs(cmd.Flags()):
				w.link, err = f.link(cmd.Flags())
			case w.quiet, cmd.Flags().Changed("seed"):
				err = errors.New("-q and --seed are for use with --impair")
			default:
				cfg.Rules, cfg.AnyQueue, err = f.rules()
			}
			if err != nil {
				return err
			}
			return w.check(&cfg)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			signals := confine.Catch()
			defer signals.Release()
			if status, err := confine.Find(args[0]); err != nil {
				return statusError{status, err}
			}
			if err := needProc(); err != nil {
				return err
			}
			if err := netlab.Enter(); err != nil {
				return unavailableError{err}
			}
			return runCommand(cmd.Context(), signals, &w, cfg, args)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.SetInterspersed(false) // what follows the command is its own
	flags.StringArrayVar(&f.in, "in", nil, "watch what arrives and matches this `RULE`")
	flags.StringArrayVar(&f.out, "out", nil, "watch what leaves and matches this `RULE`")
	noValues(cmd, "in", "out")
	w.flags(cmd)
	flags.StringVar(&f.settings, "impair", "",
		"impair the packets with these `SETTINGS`, see nfq impair --help")
	flags.StringVar(&f.back, "back", "", "impair what arrives with `SETTINGS` of its own")
	f.flags(cmd)
	noValues(cmd, "impair", "back")
	flags.BoolVarP(&w.quiet, "quiet", "q", false, "with --impair: do not show packets")
	return cmd
}

func runCommand(
	ctx context.Context,
	signals *confine.Signals,
	w *watch,
	cfg intercept.Config,
	args []string,
) error {
	place, err := confine.New(!netlab.Entered())
	if err != nil {
		return err
	}
	defer func() { _ = place.Close() }()
	cfg.Queue.NetNS = place.Host.FD()
	w.about = strings.Join(args, " ")
	for i := range place.Inside {
		fmt.Fprintf(os.Stderr, "nfq: the command has the address %v, and the system %v\n",
			place.Inside[i].Addr(), place.Outside[i].Addr())
	}
	var status confine.Status
	// Signals are for the command: its end is that of nfq.
	err = w.run(context.WithoutCancel(ctx), cfg, func() (err error) {
		status, err = place.Command(ctx, signals, args[0], args[1:]...)
		return err
	})
	if status != 0 {
		return statusError{status, err}
	}
	return err
}

// statusError is the exit status of a command, and an error if there is something to say.
type statusError struct {
	confine.Status
	error
}

func (e statusError) Error() string {
	if e.error == nil {
		return fmt.Sprintf("exit status %d", e.Status)
	}
	return e.error.Error()
}

func (e statusError) Unwrap() error { return e.error }

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

// checkHooks refuses a hook in a rule of --in and --out.
func (f *runFlags) checkHooks() error {
	for _, flag := range []struct {
		name  string
		texts []string
	}{{"--in", f.in}, {"--out", f.out}} {
		for _, text := range flag.texts {
			for word := range strings.FieldsSeq(text) {
				if slices.Contains(hooks, word) {
					return fmt.Errorf("%s %q: leave out the hook %q: %[1]s says it already; "+
						"what arrives is for --in, what leaves for --out", flag.name, text, word)
				}
			}
		}
	}
	return nil
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
		return nil, errors.New(
			"packets that are impaired get their verdict from that; leave out --verdict",
		)
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
			return nil, errors.New(
				"packets that are impaired go through queues that are chosen by themselves; leave the queue out of the rules",
			)
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
