// SPDX-License-Identifier: GPL-2.0-or-later

//go:build linux

package cli

import (
	"net"
	"slices"
	"strings"

	"github.com/chifflier/nfqueue-go/internal/netns"
	"github.com/spf13/cobra"
)

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

// oneOf offers values.
func oneOf(values ...string) cobra.CompletionFunc {
	return cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)
}

// completeRule offers the words of rules with "or" between them.
func completeRule(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	words := strings.Fields(strings.Join(args, " "))
	last := "or"
	if len(words) > 0 {
		last = words[len(words)-1]
	}
	var offer []string
	switch {
	case last == "or":
		offer = append([]string{"any"}, hooks...)
	case last == "iif", last == "oif":
		links, _ := net.Interfaces()
		for _, l := range links {
			offer = append(offer, l.Name)
		}
	case last == "ct":
		offer = []string{"new", "established", "related", "invalid", "untracked"}
	case slices.Contains(valueWords, last):
	case last == "not":
		offer = strings.Fields("tcp udp icmp icmpv6 sctp proto type iif oif saddr daddr " +
			"sport dport port uid gid cgroup mark ct ctmark")
	default:
		offer = append(
			strings.Fields("inet ip ip6 bridge tcp udp icmp icmpv6 sctp iif oif ct not or"),
			valueWords...)
	}
	return offer, cobra.ShellCompDirectiveNoFileComp
}

// valueWords are those words of a rule that a value follows which cannot be guessed.
var valueWords = strings.Fields("proto type saddr daddr sport dport port uid gid cgroup mark ctmark packets bytes priority queue")
