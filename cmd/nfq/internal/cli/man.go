// SPDX-License-Identifier: GPL-2.0-or-later

//go:build linux

package cli

import (
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

const manHelp = `man writes a manual page for nfq and each of its subcommands into a directory, which it makes if need be. Where man finds them
without further ado is a directory man1 below what manpath prints, such as /usr/local/share/man/man1.

The pages carry the present date, or that of the environment variable SOURCE_DATE_EPOCH.`

func newMan() *cobra.Command {
	return &cobra.Command{
		Use:     "man DIR",
		Short:   "Write manual pages",
		Long:    manHelp,
		Example: "  sudo nfq man /usr/local/share/man/man1",
		Args:    oneArgument("say into which DIR, such as /usr/local/share/man/man1"),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return err
			}
			root := cmd.Root()
			root.DisableAutoGenTag = true
			return doc.GenManTree(root, &doc.GenManHeader{Section: "1", Source: "nfq", Manual: "NFQUEUE"},
				args[0])
		},
	}
}
