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
	"strconv"
	"strings"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/stat"
	"github.com/chifflier/nfqueue-go/internal/netns"
	"github.com/spf13/cobra"
)

const statHelp = `stat shows the queues that programs have bound in this network namespace: the process, the packets that wait for a verdict,
how much of each is copied, and how many were dropped because the queue was full (QUEUE DROPS: raise its maximum length, or
decide faster) or because the receive buffer of the socket was (SOCKET DROPS: raise that). Packets that fail-open let pass are
in neither. The counters start when the queue is bound.

Without --watch and --listen the rates are measured for the time given by --sample. With --watch a terminal shows the present
state, anything else gets a line for each queue and interval; --json gives one object for each. SIGINT and SIGTERM end
--watch and --listen with exit code 0.

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
	flags.DurationVar(&f.watch, "watch", time.Second, "show again and again, every `INTERVAL` (written --watch=INTERVAL)")
	flags.Lookup("watch").NoOptDefVal = "1s"
	flags.DurationVar(&f.sample, "sample", time.Second, "measure the rates for `DURATION`; 0s shows none, at once")
	flags.BoolVar(&f.json, "json", false, "write JSON")
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
	for _, arg := range args {
		if f.watching && strings.Trim(arg, "0123456789") != "" {
			if _, err := time.ParseDuration(arg); err == nil {
				return fmt.Errorf("%q is not a queue; an interval is written --watch=%s", arg, arg)
			}
		}
		r, ok := parseQueueRange(arg)
		if !ok {
			return fmt.Errorf("%q is not a queue; give a number from 0 to 65535, or a range such as 0-3", arg)
		}
		f.queues = append(f.queues, r)
	}
	return nil
}

func (f *statFlags) run(ctx context.Context) error {
	reader := &stat.Reader{Only: f.wanted}
	if f.netns != "" {
		ns, err := netns.Open(f.netns)
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
	case f.sample > 0:
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
		return json.NewEncoder(os.Stdout).Encode(s)
	}
	return s.Text(os.Stdout)
}

func (f *statFlags) wanted(queue uint16) bool {
	for _, r := range f.queues {
		if r.has(queue) {
			return true
		}
	}
	return f.queues == nil
}

func (f *statFlags) serve(ctx context.Context, reader *stat.Reader) error {
	l, err := net.Listen("tcp", f.listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	fmt.Fprintf(os.Stderr, "nfq: metrics at http://%s/metrics\n", l.Addr())
	return stat.Serve(ctx, l, stat.NewMetrics(reader))
}

// repeat shows the queues until ctx ends, s first.
func (f *statFlags) repeat(ctx context.Context, reader *stat.Reader, s stat.Snapshot) error {
	tick := time.NewTicker(f.watch)
	defer tick.Stop()
	screen, out := terminal(os.Stdout), json.NewEncoder(os.Stdout)
	if screen && !f.json {
		fmt.Print("\x1b[2J") // clear
	}
	for first := true; ; first = false {
		var err error
		switch {
		case f.json:
			err = out.Encode(s)
		case screen:
			err = s.Screen(os.Stdout, fmt.Sprintf("nfq stat, every %v", f.watch))
		default:
			err = s.Lines(os.Stdout, first)
		}
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if s, err = reader.Read(); err != nil {
			return err
		}
	}
}

// completeQueues offers the bound queues.
func completeQueues(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	infos, _ := nfqueue.KernelQueues()
	var offers []string
	for _, i := range infos {
		offers = append(offers, cobra.CompletionWithDesc(strconv.Itoa(int(i.Queue)), fmt.Sprintf("bound by port id %d, %d packets wait", i.PortID, i.Backlog)))
	}
	return offers, cobra.ShellCompDirectiveNoFileComp
}
