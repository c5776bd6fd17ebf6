// SPDX-License-Identifier: GPL-2.0-or-later

//go:build linux

package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/stat"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/terminal"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const statHelp = `stat shows the queues that programs have bound in this network namespace: the process, the packets that wait for a verdict,
how much of each is copied, and how many were dropped because the queue was full (QUEUE DROPS: raise its maximum length, or
decide faster) or because the receive buffer of the socket was (SOCKET DROPS: raise that). Packets that fail-open let pass are
in neither. The counters start when the queue is bound.

Without --watch and --listen the rates are measured for the time given by --sample, unless no queue is bound. With --watch a terminal shows the present
state, anything else gets a line for each queue and interval; --json gives one object for each. SIGINT, SIGTERM and
SIGHUP end --watch and --listen with exit code 0.

With --listen the queues are served as metrics for Prometheus at /metrics, on loopback unless a host is given. --netns has no
effect on where that is.

Only root may read the kernel's table of queues, and root of a user namespace only in a network namespace that was made after
its ids were mapped.`

const statExample = `  nfq stat
  nfq stat --watch 0-3
  nfq stat --json --sample 0s
  nfq stat --netns router --watch=5s
  nfq stat --listen :9099
  nfq stat --listen 0.0.0.0:9099`

type statFlags struct {
	watch  time.Duration
	sample time.Duration
	json   bool
	netns  string
	listen string

	watching bool
	watchAt  int // how many arguments come before a --watch without value, or -1
	queues   []queueRange
}

func newStat() *cobra.Command {
	var f statFlags
	cmd := &cobra.Command{
		Use:               "stat [QUEUE|FIRST-LAST]...",
		Short:             "Show the bound queues, who serves them, and what they lose",
		Long:              statHelp,
		Example:           statExample,
		ValidArgsFunction: completeQueues,
		PreRunE: func(cmd *cobra.Command, args []string) (err error) {
			f.watching = cmd.Flags().Changed("watch")
			return f.check(args)
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context()) },
	}
	flags := cmd.Flags()
	flags.Var(&watchFlag{&f, flags}, "watch",
		"show again and again, every `INTERVAL` (written --watch=INTERVAL, 1s without)")
	flags.Lookup("watch").NoOptDefVal = bareWatch
	flags.DurationVar(&f.sample, "sample", time.Second,
		"measure the rates for `DURATION`; 0s shows none, at once")
	flags.BoolVarP(&f.json, "json", "j", false, "write JSON")
	for _, flag := range []struct{ name, short, usage string }{
		{"all", "a", "show all queues, as is done unless some are named (from ss)"},
		{"numeric", "n", "show numbers, as is always done (from ss)"},
		{"processes", "p", "show processes, as is always done (from ss)"},
	} {
		flags.BoolP(flag.name, flag.short, false, flag.usage)
	}
	flags.StringVar(&f.netns, "netns", "", netnsUsage)
	flags.StringVar(&f.listen, "listen", "", "serve metrics for Prometheus on `[HOST]:PORT`")
	cmd.MarkFlagsMutuallyExclusive("listen", "watch")
	cmd.MarkFlagsMutuallyExclusive("listen", "json")
	cmd.MarkFlagsMutuallyExclusive("listen", "sample")
	cmd.MarkFlagsMutuallyExclusive("watch", "sample")
	noValues(cmd, "watch", "sample", "listen")
	completeFlag(cmd, "netns", completeNetns)
	return cmd
}

// bareWatch is the value of --watch without one.
const bareWatch = "1.0s"

// watchFlag is the flag --watch. It notes where it stands, since a number behind it may be meant as
// its value.
type watchFlag struct {
	f     *statFlags
	flags *pflag.FlagSet
}

func (w *watchFlag) String() string { return "" }
func (w *watchFlag) Type() string   { return "duration" }

func (w *watchFlag) Set(value string) (err error) {
	w.f.watchAt = -1
	if value == bareWatch {
		w.f.watchAt = w.flags.NArg()
	}
	w.f.watch, err = time.ParseDuration(value)
	return err
}

func (f *statFlags) check(args []string) (err error) {
	if f.watching && f.watch < 10*time.Millisecond {
		return fmt.Errorf("--watch=%v is too short; give at least 10ms", f.watch)
	}
	if f.sample < 0 {
		return errors.New("--sample must not be negative")
	}
	if f.listen != "" {
		if f.listen, err = stat.ListenAddress(f.listen); err != nil {
			return fmt.Errorf("--listen: %w", err)
		}
	}
	for i, arg := range args {
		if f.watching && i == f.watchAt && strings.Trim(arg, "0123456789") == "" {
			return fmt.Errorf(
				"--watch %s: write an interval as --watch=%[1]ss, or name the queue first: nfq stat %[1]s --watch",
				arg,
			)
		}
		if f.watching && strings.Trim(arg, "0123456789") != "" {
			if _, err := time.ParseDuration(arg); err == nil {
				return fmt.Errorf("%q is not a queue; an interval is written --watch=%s", arg, arg)
			}
		}
		r, ok := parseQueueRange(arg)
		if !ok {
			return fmt.Errorf("%q is not a queue; give a number from 0 to 65535, or a range such as 0-3",
				arg)
		}
		f.queues = append(f.queues, r)
	}
	return nil
}

func (f *statFlags) run(ctx context.Context) error {
	if err := needProc(); err != nil {
		return err
	}
	reader := new(stat.Reader)
	if f.queues != nil {
		reader.Only = f.wanted
	}
	if f.netns != "" {
		ns, err := openNetNS(f.netns)
		if err != nil {
			return err
		}
		defer func() { _ = ns.Close() }()
		reader.NetNS = ns
	}
	s, err := reader.Read()
	switch {
	case err != nil:
		return err
	case f.listen != "":
		return f.serve(ctx, reader)
	case f.watching:
		return f.repeat(ctx, reader, s)
	case f.sample > 0 && len(s.Queues) > 0:
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(f.sample):
		}
		if s, err = reader.Read(); err != nil {
			return err
		}
	}
	if f.json {
		err = json.NewEncoder(os.Stdout).Encode(s)
	} else {
		err = f.text(s)
	}
	return errors.Join(err, f.unbound(s))
}

// text shows the queues, unless none of those that were asked for is bound.
func (f *statFlags) text(s stat.Snapshot) error {
	if len(s.Queues) == 0 && f.queues != nil {
		return nil
	}
	width := 0
	if terminal.Is(os.Stdout) {
		_, width = terminal.Size(os.Stdout)
	}
	return s.Text(os.Stdout, width)
}

// unbound returns an error that names those arguments of which no queue is bound.
func (f *statFlags) unbound(s stat.Snapshot) error {
	var missing []string
	for _, r := range f.queues {
		if slices.ContainsFunc(s.Queues, func(q stat.Queue) bool { return r.has(q.Queue) }) {
			continue
		}
		if r.first == r.last {
			missing = append(missing, fmt.Sprintf("queue %d is not bound", r.first))
		} else {
			missing = append(missing, fmt.Sprintf("none of the queues %d-%d is bound", r.first, r.last))
		}
	}
	if missing == nil {
		return nil
	}
	return errors.New(strings.Join(missing, "; "))
}

func (f *statFlags) wanted(queue uint16) bool {
	return slices.ContainsFunc(f.queues, func(r queueRange) bool { return r.has(queue) })
}

func (f *statFlags) serve(ctx context.Context, reader *stat.Reader) error {
	l, err := net.Listen("tcp", f.listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	fmt.Fprintf(os.Stderr, "nfq: metrics at http://%s/metrics\n", l.Addr())
	return stat.Serve(ctx, l, stat.NewMetrics(reader))
}

// repeat shows the queues until ctx ends, s first. A screen is also drawn anew when the terminal
// asks for it.
func (f *statFlags) repeat(ctx context.Context, reader *stat.Reader, s stat.Snapshot) error {
	tick := time.NewTicker(f.watch)
	defer tick.Stop()
	redraw, stop := terminal.Redraws()
	defer stop()
	screen, out := !f.json && terminal.Is(os.Stdout), json.NewEncoder(os.Stdout)
	if screen {
		fmt.Print("\x1b[2J") // clear
	}
	for first := true; ; first = false {
		var err error
		switch {
		case f.json:
			err = out.Encode(s)
		case screen:
			err = f.draw(s)
		default:
			err = s.Lines(os.Stdout, first)
		}
		if err != nil {
			return err
		}
		for wait := true; wait; {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
				wait = false
			case <-redraw:
				if screen {
					err = f.draw(s)
				}
			}
		}
		if err != nil {
			return err
		}
		if s, err = reader.Read(); err != nil {
			return err
		}
	}
}

func (f *statFlags) draw(s stat.Snapshot) error {
	title := fmt.Sprintf("nfq stat, every %v", f.watch)
	if f.queues != nil {
		var names []string
		for _, r := range f.queues {
			names = append(names, r.String())
		}
		title = fmt.Sprintf("nfq stat of queue %s, every %v", strings.Join(names, ", "), f.watch)
	}
	return s.Screen(os.Stdout, title)
}

// completeQueues offers the bound queues.
func completeQueues(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	infos, _ := nfqueue.KernelQueues()
	var offers []string
	for _, i := range infos {
		offers = append(
			offers,
			cobra.CompletionWithDesc(strconv.Itoa(int(i.Queue)),
				fmt.Sprintf("bound by port id %d, %d packets wait", i.PortID, i.Backlog)),
		)
	}
	return offers, cobra.ShellCompDirectiveNoFileComp
}
