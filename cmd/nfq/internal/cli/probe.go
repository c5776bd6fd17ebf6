// SPDX-License-Identifier: GPL-2.0-or-later

//go:build linux

package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/probe"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/spf13/cobra"
)

const probeHelp = `probe says what the NFQUEUE of this kernel can do, what this user may do with it, and what is wrong with the rules and queues
of this network namespace: rules whose queue nobody serves (without bypass they drop every packet), queues that no rule
points at, queues that lose packets or that nobody works off, and limits that are too small. It changes nothing; what the
kernel can do is tried in a network namespace of its own.

Each finding has a severity: ok, info, warning, unknown (it could not be checked) or problem. The exit code is

    0  no problem was found
    1  at least one problem was found
    3  no problem was found, but something could not be checked without root`

const probeExample = `  nfq probe
  sudo nfq probe --netns router
  nfq probe --json | jq '.findings[] | select(.severity == "problem")'`

// featuresCommand is the hidden subcommand of probe that finds out what the kernel can do, with
// privileges of its own.
const featuresCommand = "features"

func newProbe() *cobra.Command {
	var asJSON bool
	var ns string
	cmd := &cobra.Command{
		Use:               "probe",
		Short:             "Check kernel, privileges, rules and queues",
		Long:              probeHelp,
		Example:           probeExample,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return runProbe(cmd.Context(), ns, asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	cmd.Flags().StringVar(&ns, "netns", "", netnsUsage)
	completeFlag(cmd, "netns", completeNetns)
	cmd.AddCommand(newFeatures())
	return cmd
}

func newFeatures() *cobra.Command {
	return &cobra.Command{
		Use:    featuresCommand,
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := netlab.Enter(); err != nil {
				return unavailableError{err}
			}
			r, err := probe.Kernel()
			if err != nil {
				return err
			}
			return json.NewEncoder(os.Stdout).Encode(r)
		},
	}
}

func runProbe(ctx context.Context, ns string, asJSON bool) error {
	if err := needProc(); err != nil {
		return err
	}
	var netNS *os.File
	if ns != "" {
		var err error
		if netNS, err = openNetNS(ns); err != nil {
			return err
		}
		defer func() { _ = netNS.Close() }()
	}
	r, err := probe.Run(netNS, func() (*probe.Report, error) { return features(ctx) })
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if asJSON {
		err = json.NewEncoder(os.Stdout).Encode(r)
	} else {
		err = r.WriteText(os.Stdout)
	}
	problems, unknown := r.Count(probe.Problem), r.Count(probe.Unknown)
	switch {
	case err != nil:
		return err
	case problems > 0:
		return fmt.Errorf("problems found: %d", problems)
	case unknown > 0:
		return unavailableError{fmt.Errorf("checks that could not be made: %d", unknown)}
	}
	return nil
}

// features runs the hidden subcommand, which may have to become root of a user namespace.
func features(ctx context.Context) (*probe.Report, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "/proc/self/exe", "probe", featuresCommand)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if text := bytes.TrimPrefix(bytes.TrimSpace(stderr.Bytes()), []byte("nfq: ")); len(text) > 0 {
			err = errors.New(string(text))
		}
		return nil, err
	}
	var r probe.Report
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
		return nil, err
	}
	return &r, nil
}
