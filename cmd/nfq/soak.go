// SPDX-License-Identifier: GPL-2.0-or-later

//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/soak"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/spf13/cobra"
)

const soakHelp = `soak floods one queue after another, in network namespaces of its own, with handlers that accept, drop, rewrite, defer,
forget and panic at random, while devices go down, chains are removed, queues are handed over and closed. After each queue
its books must balance to the packet: what was received has a verdict, and what the verdicts let go on is what rules
have counted behind the queue. Memory, goroutines and descriptors must not grow.`

func newSoak() *cobra.Command {
	var o soak.Options
	cmd := &cobra.Command{
		Use:   "soak",
		Short: "Run queues at random for a long time, and check that nothing is lost",
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
	if err := netlab.Enter(); err != nil {
		return unavailableError{err}
	}
	if err := netlab.Check(); err != nil {
		return unavailableError{err}
	}
	o.Progress = os.Stderr
	results, err := soak.Run(ctx, o)
	if err != nil {
		return err
	}
	return results.WriteText(os.Stdout)
}
