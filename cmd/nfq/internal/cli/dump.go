// SPDX-License-Identifier: GPL-2.0-or-later

//go:build linux

package cli

import (
	"errors"
	"os"
	"strings"

	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/intercept"
	"github.com/spf13/cobra"
)

const dumpHelp = `dump shows packets as they pass a queue, in a line for each, or records them for Wireshark. It installs its own rule,
and removes it at the end: traffic then flows as before. Should it be killed, the kernel removes the rule.

` + ruleHelp + `

With --queue, dump installs nothing: it serves a queue that has rules already, and that nobody else serves. What happens
to packets afterwards is up to those rules; without bypass they are dropped.

Packets get their verdict before they are shown or recorded. A terminal or disk that is slow does not delay them: what
comes too fast is not shown, and counted. Should more packets come than nfq can judge, they pass unseen, unless the
verdict is drop. Packets larger than the MTU are shown as they leave or enter the kernel, before segmentation.

-v and --json name the processes that have the socket of a packet open, and their cgroup. dump looks for them with sock_diag
and in /proc before the verdict, once a second for each flow. Only root sees the processes of other users, and nobody those of
other process namespaces. A process that has ended by then, or passed its socket on, is not named.

A filter (-f) is in the language of pcap-filter(7): host, net, port, portrange, proto, src, dst, ip, ip6, tcp, udp, icmp, arp,
inbound, outbound, less, greater, len, bytes such as tcp[13] or tcp[tcpflags] & tcp-syn != 0, and, or, not and parentheses.
It decides what is shown. All packets of the rule get their verdict.

SIGINT, SIGTERM, SIGHUP or -c end dump; without -c the exit code is then 0. Ctrl-Z stops dump and not the traffic:
packets pass unseen until it goes on.

When a rule goes, the kernel drops what waits in the queues of other programs. So dump removes the last of its own when
nothing waits there. After five seconds it does so in any case, and says whose packets that cost. SIGKILL,
or a second SIGINT or SIGTERM, does it at once.`

const dumpExamples = `  nfq dump out udp dport 53
  nfq dump out udp dport 53 -w x.pcapng -c 10
  nfq dump -v any tcp port 443
  nfq dump -r x.pcapng -f 'udp port 53' -tttt
  nfq dump -w x-%H.pcapng -G 3600 -W 24 any tcp port 443
  nfq dump forward iif eth0 -f 'host 192.0.2.1 and not port 22'
  nfq dump --queue 3 --verdict drop --json
  nfq dump in icmp -w - | tshark -r -
  nfq dump --netns web in tcp dport 80 ct new`

func newDump() *cobra.Command {
	w := watch{text: os.Stdout}
	var queue, namespace, read string
	var replay replayRun
	var cfg intercept.Config
	cmd := &cobra.Command{
		Use:     "dump [flags] RULE... | --queue NUMBER | -r FILE [RULE]",
		Short:   "Show or record the packets of a rule or queue",
		Long:    dumpHelp,
		Example: dumpExamples,

		ValidArgsFunction: completeRule,
		PreRunE: func(_ *cobra.Command, args []string) (err error) {
			switch {
			case read != "":
				if queue != "" || namespace != "" {
					return errors.New("-r reads a file; leave out --queue and --netns")
				}
				replay, err = w.replay(read, strings.Join(args, " "))
				return err
			case queue != "" && len(args) > 0:
				return errors.New(
					"--queue is for rules that are there already; to choose the queue of this rule add the words \"queue NUMBER\" to it",
				)
			case queue != "":
				w.about = "what is sent there"
				cfg.Queue.Queue, cfg.Queues, err = parseQueues(queue)
			case len(args) > 0:
				w.about = strings.Join(args, " ")
				cfg.Rules, cfg.AnyQueue, err = parseRules(args)
			default:
				err = errors.New(
					`say which packets: a rule such as "out udp dport 53", or --queue NUMBER for a queue that has a rule already`,
				)
			}
			if err != nil {
				return err
			}
			return w.check(&cfg)
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if read != "" {
				return replay(cmd.Context())
			}
			if namespace != "" {
				ns, err := openNetNS(namespace)
				if err != nil {
					return err
				}
				defer func() { _ = ns.Close() }()
				cfg.Queue.NetNS = int(ns.Fd())
			}
			return w.run(cmd.Context(), cfg, nil)
		},
	}
	cmd.SetFlagErrorFunc(explainDashes)
	flags := cmd.Flags()
	flags.SortFlags = false
	w.flags(cmd)
	w.briefFlag(flags)
	flags.StringVarP(&read, "read", "r", "", "read the packets from `FILE`, as nfq replay does")
	flags.StringVar(&queue, "queue", "", "serve the queue with this `NUMBER`, or several such as 0-3")
	flags.StringVar(&namespace, "netns", "", netnsUsage)
	noValues(cmd, "queue")
	completeFlag(cmd, "netns", completeNetns)
	return cmd
}
