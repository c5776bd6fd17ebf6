// SPDX-License-Identifier: GPL-2.0-or-later

//go:build linux

package main

import (
	"github.com/chifflier/nfqueue-go/internal/netns"
	"github.com/spf13/cobra"
)

const netnsUsage = "work in the network namespace `NS`: a name of iproute2's, a process id, or a path"

// completeFlag says how a shell completes the values of a flag.
func completeFlag(cmd *cobra.Command, flag string, how cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, how); err != nil {
		panic(err) // there is no such flag
	}
}

// noValues says that a shell has nothing to offer for flags, files least of all.
func noValues(cmd *cobra.Command, flags ...string) {
	for _, flag := range flags {
		completeFlag(cmd, flag, cobra.NoFileCompletions)
	}
}

// completeNetns offers the namespaces with names. A path is completed by the shell.
func completeNetns(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return netns.Names(), cobra.ShellCompDirectiveDefault
}
