// SPDX-License-Identifier: GPL-2.0-or-later

//go:build linux

package cli

import (
	"os"

	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/demo"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/terminal"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/spf13/cobra"
)

const demoHelp = `demo makes a client, a router and a server in network namespaces of its own, and queues every packet that the
router forwards. It sends ICMP echo, UDP, DNS and TCP over IPv4 and IPv6, and accepts, drops, rewrites and marks
the packets. Some packets of each kind are shown, with -v all, then a table of what was sent, decided and received.

The exit code is 0 only if the server and the client received, byte for byte, what the verdicts allow.

Nothing needs to be installed, nothing outside of the namespaces is touched, and nothing is left behind. Without root
it needs a kernel that lets users make user namespaces, and on Linux 7.1 and later it rewrites nothing.`

func newDemo() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show in a network of its own, and check, what a queue can do",
		Long:  demoHelp,
		Example: "  nfq demo\n" +
			"  nfq demo | less",
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := enter(); err != nil {
				return err
			}
			return demo.Run(cmd.Context(), os.Stdout, terminal.Colourful(os.Stdout), all)
		},
	}
	cmd.Flags().BoolVarP(&all, "verbose", "v", false, "show every packet")
	return cmd
}

// enter makes the process able to make hosts.
func enter() error {
	if err := needProc(); err != nil {
		return err
	}
	if err := netlab.Enter(); err != nil {
		return unavailableError{err}
	}
	if err := netlab.Check(); err != nil {
		return unavailableError{err}
	}
	return nil
}
