// SPDX-License-Identifier: GPL-2.0-or-later

//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
	"github.com/chifflier/nfqueue-go/rules"
	"github.com/spf13/cobra"
)

const replayHelp = `replay shows what a queue would do with the packets of a capture: FILE is pcap or pcapng, also compressed with gzip,
as tcpdump, Wireshark or 'nfq dump' write it, or - for the standard input. Nothing is sent anywhere, and no privileges are
needed. The packets go through the code that serves queues, over a kernel in memory.

All IPv4 and IPv6 packets are queued as if the machine forwarded them, or those that --rule matches, written as for
the other subcommands: "in tcp dport 443", "out udp port 53". Connection tracking states cannot be matched, as a
capture does not hold them. Each queued packet gets the --verdict, and --mark if it is accepted.

One line is shown for each packet of the file, then a summary. With --json these are JSON objects, one in each line,
the summary with the single field "summary". What has passed, queued or not, is written to the file of --write, with
the time of its capture and without link header.`

// replayOptions are the flags of replay.
type replayOptions struct {
	rule, verdict, write string
	mark                 uint32
	json                 bool
}

func newReplay() *cobra.Command {
	var o replayOptions
	var rule rules.Rule
	var verdict nfqueue.Verdict
	c := &cobra.Command{
		Use:   "replay FILE",
		Short: "Show what a queue would do with the packets of a capture",
		Long:  replayHelp,
		Args:  cobra.ExactArgs(1),
		PreRunE: func(cmd *cobra.Command, _ []string) (err error) {
			if rule, err = replayRule(o.rule); err != nil {
				return err
			}
			if verdict, err = replayVerdict(o.verdict); err != nil {
				return err
			}
			if cmd.Flags().Changed("mark") && verdict == nfqueue.Drop {
				return errors.New("--mark has no effect on packets that --verdict drops; leave out one of them")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			h := &replayHandler{rule: rule, verdict: verdict, marks: cmd.Flags().Changed("mark"), mark: o.mark}
			return runReplay(cmd.Context(), args[0], o, h)
		},
	}
	f := c.Flags()
	f.StringVar(&o.rule, "rule", "forward", "queue the packets that a `RULE` matches, at its hook")
	f.StringVar(&o.verdict, "verdict", "accept", "decide them like this: `accept|drop`")
	f.Uint32Var(&o.mark, "mark", 0, "set the mark `N` on them, decimal or 0x...")
	f.StringVarP(&o.write, "write", "w", "", "write what has passed to `OUT`, as pcapng")
	f.BoolVar(&o.json, "json", false, "show JSON objects, one in each line")
	return c
}

func replayRule(text string) (rules.Rule, error) {
	r, err := rules.Parse(text)
	switch {
	case err != nil:
		return r, fmt.Errorf("--rule: %w", err)
	case r.CTState != 0:
		return r, errors.New("--rule: a capture does not tell the connection tracking state; leave ct out")
	}
	return r, nil
}

func replayVerdict(word string) (nfqueue.Verdict, error) {
	for _, v := range []nfqueue.Verdict{nfqueue.Accept, nfqueue.Drop} {
		if word == v.String() {
			return v, nil
		}
	}
	return 0, fmt.Errorf("--verdict %q: use accept or drop", word)
}

// runReplay replays a file, and shows what became of it.
func runReplay(ctx context.Context, name string, o replayOptions, h *replayHandler) (err error) {
	in := os.Stdin
	if name != "-" {
		if in, err = os.Open(name); err != nil {
			return err
		}
		defer in.Close()
	}
	passed := &passedFile{}
	if o.write != "" {
		if passed, err = createPassed(o.write); err != nil {
			return err
		}
	}
	out := bufio.NewWriter(os.Stdout)
	err = replayAll(ctx, in, h, passed, newReplayView(out, o.json))
	return errors.Join(err, passed.close(), out.Flush())
}

func replayAll(ctx context.Context, in io.Reader, h *replayHandler, passed *passedFile, view *replayView) error {
	for r, err := range nfqueuetest.Replay(in, h, nfqueuetest.Spec{Family: h.rule.Family, Hook: h.rule.Hook}) {
		if err = errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		if err := view.packet(r, h.queued(r)); err != nil {
			return err
		}
		if err := passed.add(r); err != nil {
			return err
		}
	}
	return view.summary()
}
