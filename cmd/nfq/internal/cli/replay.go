// SPDX-License-Identifier: GPL-2.0-or-later

//go:build linux

package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/dump"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/pcapfilter"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/terminal"
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

Each packet of the file is shown as by nfq dump, with [not queued] or a verdict other than accept at its end, then there is
a summary: in JSON an object with the single field "summary". What has passed, queued or not, is recorded in the file of
-w, with the time of its capture.`

const replayExamples = `  nfq replay x.pcapng
  nfq replay --rule 'forward tcp dport 443' --verdict drop x.pcapng
  tcpdump -w - | nfq replay -v -`

// replayFlags are the flags of replay.
type replayFlags struct {
	view
	rule, verdict, write, filter string
	mark                         *uint32
	count                        uint64
}

// replayRun replays a file.
type replayRun func(context.Context) error

// replay returns what shows the packets of a file as dump shows those of a rule, with the same
// flags.
func (w *watch) replay(name, rule string) (replayRun, error) {
	f := replayFlags{
		view: w.view, rule: rule, verdict: w.verdict, mark: w.dump.SetMark,
		write: w.write, filter: w.filter, count: w.dump.Count,
	}
	if rule == "" {
		f.rule = "forward"
	}
	if w.rotation != (rotation{}) || w.snap != 0 || w.print {
		return nil, errors.New("-r reads a file; leave out -s, -C, -G, -W and --print")
	}
	var h replayHandler
	err := f.check(&h)
	return func(ctx context.Context) error { return f.run(ctx, name, &h) }, err
}

// check finds what is wrong with the flags, and tells h what they say.
func (f *replayFlags) check(h *replayHandler) (err error) {
	if h.rule, err = replayRule(f.rule); err != nil {
		return err
	}
	if h.verdict, err = replayVerdict(f.verdict); err != nil {
		return err
	}
	if h.mark = f.mark; h.mark != nil && h.verdict == nfqueue.Drop {
		return errors.New("--mark has no effect on packets that --verdict drops; leave out one of them")
	}
	if f.filter != "" {
		filter, err := pcapfilter.Compile(f.filter)
		if err != nil {
			return fmt.Errorf("--filter: %w", err)
		}
		h.filter = filter
	}
	return f.view.check()
}

func newReplay() *cobra.Command {
	var f replayFlags
	var h replayHandler
	c := &cobra.Command{
		Use:     "replay FILE",
		Short:   "Show what a queue would do with the packets of a capture",
		Long:    replayHelp,
		Example: replayExamples,
		Args:    oneArgument("say which FILE: a capture, or - for the standard input"),
		PreRunE: func(*cobra.Command, []string) error { return f.check(&h) },
		RunE:    func(cmd *cobra.Command, args []string) error { return f.run(cmd.Context(), args[0], &h) },
	}
	flags := c.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.rule, "rule", "forward", "queue the packets that a `RULE` matches, at its hook")
	flags.StringVar(&f.verdict, "verdict", "accept", "give them this `VERDICT`: accept or drop")
	flags.Var(markFlag{&f.mark}, "mark", "set their mark to this `VALUE`")
	flags.StringVarP(&f.write, "write", "w", "",
		"record what has passed in `FILE`, as pcapng, - for the standard output")
	flags.StringVarP(&f.filter, "filter", "f", "",
		"take the packets only that match this `EXPRESSION`, in the language of pcap-filter(7)")
	flags.Uint64VarP(&f.count, "count", "c", 0, "end after this `NUMBER` of packets")
	f.view.flags(flags)
	f.briefFlag(flags)
	tcpdumpFlags(flags)
	noValues(c, "rule", "mark", "filter", "count")
	completeFlag(c, "verdict", oneOf("accept", "drop"))
	return c
}

func replayRule(text string) (rules.Rule, error) {
	r, err := rules.Parse(text)
	switch {
	case err != nil:
		return r, fmt.Errorf("--rule: %w", err)
	case r.CTState != 0:
		return r, errors.New(
			"--rule: a capture does not tell the connection tracking state; leave ct out",
		)
	case r.CTMarkMask != 0, r.FirstPackets != 0, r.FirstBytes != 0, r.Offload != (rules.Offload{}):
		return r, errors.New("--rule: a capture does not tell the connection; " +
			"leave ctmark, packets, bytes and offload out")
	case r.UID != (rules.OwnerID{}), r.GID != (rules.OwnerID{}), r.Cgroup != "":
		return r, errors.New("--rule: a capture does not tell the sender; " +
			"leave uid, gid and cgroup out")
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

// run replays a file, and shows what became of it.
func (f *replayFlags) run(ctx context.Context, name string, h *replayHandler) (err error) {
	in := os.Stdin
	if name != "-" {
		if in, err = os.Open(name); err != nil {
			return err
		}
		defer in.Close()
	}
	screen := os.Stdout
	var passed *recording
	if f.write != "" {
		if err := apart(in, f.write); err != nil {
			return err
		}
		if passed, err = record(f.write, rotation{}, 0, "passed "+h.rule.String()); err != nil {
			return err
		}
	}
	if f.write == "-" {
		screen = os.Stderr
	}
	text := f.view.on(screen)
	total, err := replayAll(ctx, in, h, f.count, text, passed)
	err = errors.Join(err, text.Flush(), passed.Close())
	if err != nil {
		return err
	}
	return total.show(screen, f.json)
}

// apart refuses to write to the file that is read, which would empty it first.
func apart(in *os.File, name string) error {
	from, err := in.Stat()
	if err != nil {
		return err
	}
	to, err := os.Stat(name)
	if err == nil && from.Mode().IsRegular() && os.SameFile(from, to) {
		return usageError{fmt.Errorf("-w %s is the file that is read; give it another name", name)}
	}
	return nil // record tells of other errors
}

// replayAll shows and records the packets of a capture, up to a number if that is not 0. Passed may
// be nil.
func replayAll(
	ctx context.Context,
	capture io.Reader,
	h *replayHandler,
	count uint64,
	shown *dump.Text,
	passed *recording,
) (total replaySummary, err error) {
	for r, err := range nfqueuetest.Replay(capture, nfqueue.Config{}, h,
		nfqueuetest.Spec{Family: h.rule.Family, Hook: h.rule.Hook}) {
		if err = errors.Join(err, ctx.Err()); err != nil {
			return total, err
		}
		if h.filter != nil && !(comes(r) && h.matches) {
			continue
		}
		record := h.record(r)
		total.add(r, !record.Unqueued)
		if err := shown.Write(record); err != nil {
			return total, err
		}
		if passed != nil && r.Passed && comes(r) {
			if err := passed.Write(record); err != nil {
				return total, err
			}
		}
		if uint64(total.Packets) == count {
			break
		}
	}
	return total, nil
}

// replaySummary counts the packets of the file.
type replaySummary struct {
	Packets    int   `json:"packets"`
	Queued     int   `json:"queued"`
	Accepted   int   `json:"accepted"`
	Dropped    int   `json:"dropped"`
	NotMatched int   `json:"not_matched"`
	NotIP      int   `json:"not_ip"`
	TookNS     int64 `json:"took_ns"`
	LongestNS  int64 `json:"longest_ns"`
	// UnknownLink counts packets whose link type is not known, by that.
	UnknownLink map[string]int `json:"unknown_link,omitempty"`
}

// add counts a packet.
func (t *replaySummary) add(r nfqueuetest.Replayed, queued bool) {
	t.Packets++
	switch {
	case r.Cause == nfqueuetest.NotIP:
		t.NotIP++
		return
	case r.Cause == nfqueuetest.UnknownLink:
		if t.UnknownLink == nil {
			t.UnknownLink = make(map[string]int)
		}
		t.UnknownLink[linkName(r.LinkType)]++
		return
	case !queued:
		t.NotMatched++
		return
	case r.Passed:
		t.Accepted++
	default:
		t.Dropped++
	}
	t.Queued++
	t.TookNS += r.Took.Nanoseconds()
	t.LongestNS = max(t.LongestNS, r.Took.Nanoseconds())
}

// show shows what all packets come to.
func (t *replaySummary) show(out io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(out).Encode(struct {
			Summary *replaySummary `json:"summary"`
		}{t})
	}
	text := fmt.Sprintf(
		"%d packets: %d queued (%d accepted, %d dropped), %d not matched by the rule, %d not IP",
		t.Packets,
		t.Queued,
		t.Accepted,
		t.Dropped,
		t.NotMatched,
		t.NotIP,
	)
	for _, link := range slices.Sorted(maps.Keys(t.UnknownLink)) {
		text += fmt.Sprintf(", %d of link type %s, which is not known", t.UnknownLink[link], link)
	}
	_, err := fmt.Fprintf(out, "%s; the handler took %v, at most %v for one\n", text,
		terminal.Plain(time.Duration(t.TookNS).String()),
		terminal.Plain(time.Duration(t.LongestNS).String()))
	return err
}
