// SPDX-License-Identifier: GPL-2.0-or-later

//go:build linux

package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/bench"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/bench/consumer"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/soak"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/terminal"
	"github.com/spf13/cobra"
)

const benchHelp = `bench measures this program's own queue, and with --peers or --build-peers programs in C that do the same: two that use
libnetfilter_queue and two written by hand that are as fast as it gets. All see the same traffic in network namespaces
of their own, with the same queue length and receive buffer, in turns. latency and tcp also measure this program's queue
with busy polling (Config.BusyPoll).

Workloads:

%s
Compare figures of one run with each other, not with those of another machine. A quiet machine with two or more
processors gives the steadiest ones. Without root, receive buffers are limited by the sysctl net.core.rmem_max, and fewer
packets are used.`

// consumerCommand is the hidden subcommand of bench that decides packets in a process of its own.
const consumerCommand = "consumer"

type benchFlags struct {
	bench.Options
	peers string
	build bool
	json  string
	svg   string
}

func newBench() *cobra.Command {
	var f benchFlags
	var list strings.Builder
	for _, w := range bench.Workloads() {
		const indent = 17
		title := wrapText(w.Title, helpColumns-indent)
		fmt.Fprintf(&list, "    %-*s%s\n", indent-4, w.Name,
			strings.ReplaceAll(title, "\n", "\n"+strings.Repeat(" ", indent)))
	}
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure how fast packets are decided, and compare with C",
		Long:  fmt.Sprintf(benchHelp, list.String()),
		Example: "  nfq bench\n" +
			"  nfq bench --workload drain,latency --rounds 3 --json results.json\n" +
			"  sudo nfq bench --build-peers",
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		PreRunE: func(*cobra.Command, []string) error {
			if f.Short {
				f.Rounds = 1
			}
			return f.Check()
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context()) },
	}
	flags := cmd.Flags()
	flags.IntVar(&f.Rounds, "rounds", 5, "how often to take each figure")
	flags.StringSliceVar(&f.Workloads, "workload", nil,
		"workloads to run, separated by commas (default all)")
	flags.BoolVar(&f.Short, "short", false, "one small round of everything, to see that it works")
	flags.StringVar(&f.peers, "peers", "", "compare with the programs in `DIR`")
	flags.BoolVar(
		&f.build,
		"build-peers",
		false,
		"compile the programs to compare with, into the directory of --peers if given; needs the Debian packages "+consumer.Packages,
	)
	flags.StringVar(&f.json, "json", "", "write all figures to `FILE`")
	flags.StringVar(&f.svg, "svg", "", "draw bar charts into `DIR`")
	noValues(cmd, "rounds")
	completeFlag(
		cmd,
		"workload",
		func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			var offers []string
			for _, w := range bench.Workloads() {
				offers = append(offers, cobra.CompletionWithDesc(w.Name, w.Title))
			}
			return offers, cobra.ShellCompDirectiveNoFileComp
		},
	)
	cmd.AddCommand(newConsumer(), newSoak())
	return cmd
}

func newConsumer() *cobra.Command {
	return &cobra.Command{
		Use:                consumerCommand,
		Hidden:             true,
		DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error {
			return consumer.Consume(args, os.Stdin, os.Stdout)
		},
	}
}

func (f *benchFlags) run(ctx context.Context) error {
	if err := enter(); err != nil {
		return err
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	f.Consumers = consumer.Ours(exe, "bench", consumerCommand)
	if f.build && f.peers == "" {
		if f.peers, err = os.MkdirTemp("", "nfq-peers-"); err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(f.peers) }()
	}
	if f.build {
		if err := consumer.Build(ctx, f.peers); err != nil {
			return err
		}
	}
	if f.peers != "" {
		peers, err := consumer.Peers(f.peers)
		if err != nil {
			return err
		}
		f.Consumers = append(f.Consumers, peers...)
	}
	f.Progress = os.Stderr
	results, err := bench.Run(ctx, f.Options)
	if results == nil {
		return err
	}
	var text strings.Builder
	err = errors.Join(err, results.WriteText(&text))
	_, writeErr := os.Stdout.WriteString(terminal.Plain(text.String()))
	err = errors.Join(err, writeErr)
	if f.json != "" {
		err = errors.Join(err, results.WriteJSON(f.json))
	}
	if f.svg != "" {
		err = errors.Join(err, results.WriteSVG(f.svg))
	}
	return err
}

const soakHelp = `soak floods one queue after another, in network namespaces of its own, with handlers that accept, drop, rewrite, defer,
forget and panic at random, while devices go down, chains are removed, queues are handed over and closed. After each queue
its books must balance to the packet: what was received has a verdict, and what the verdicts let go on is what rules
have counted behind the queue. Memory, goroutines and descriptors must not grow.`

func newSoak() *cobra.Command {
	var o soak.Options
	cmd := &cobra.Command{
		Use:   "soak",
		Short: "Run queues at random for long, and check that nothing is lost",
		Long:  soakHelp,
		Args:  cobra.NoArgs,
		PreRunE: func(*cobra.Command, []string) error {
			if o.For < 0 {
				return fmt.Errorf("--for %v is in the past", o.For)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return runSoak(cmd.Context(), o) },
	}
	flags := cmd.Flags()
	flags.DurationVar(&o.For, "for", time.Minute, "how long to run at least")
	flags.Uint64Var(&o.Packets, "packets", 0, "how many packets to receive at least")
	flags.Uint64Var(&o.Seed, "seed", 1, "seed of all random choices")
	noValues(cmd, "for", "packets", "seed")
	return cmd
}

func runSoak(ctx context.Context, o soak.Options) error {
	if err := enter(); err != nil {
		return err
	}
	o.Progress = os.Stderr
	results, err := soak.Run(ctx, o)
	if err != nil {
		return err
	}
	return results.WriteText(os.Stdout)
}
