// SPDX-License-Identifier: GPL-2.0-or-later

//go:build linux

package cli

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/word"
	"github.com/chifflier/nfqueue-go/rules"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"
)

// ruleWords says what a rule is.
const ruleWords = `A rule is a hook (in, out, forward, prerouting, postrouting) and what packets have to be like, in any order: inet ip ip6
bridge, tcp udp icmp icmpv6 sctp, proto NUMBER, type TYPE, iif NAME, oif NAME, saddr ADDRESS[/BITS][,...], daddr, sport
PORT[-PORT][,...], dport, port, uid NUMBER, gid, cgroup PATH, mark VALUE[/MASK], ct STATE, ctmark VALUE[/MASK], packets NUMBER and
bytes NUMBER (the first ones of a connection), priority NUMBER, queue NUMBER. "not" negates the next word: "out tcp not dport 22,80".`

// ruleHelp says what parseRules reads.
const ruleHelp = ruleWords + ` Several rules have the word "or"
between them, and "any" stands for in and out: "any tcp port 443". Without a queue one is taken that nobody uses.`

// hooks are the words for the hooks.
var hooks = []string{"in", "out", "forward", "prerouting", "postrouting"}

// parseRules reads rules with "or" between them. anyQueue says that none names its queue.
func parseRules(args []string) (all []rules.Rule, anyQueue bool, err error) {
	words := strings.Fields(strings.Join(args, " "))
	anyQueue = !slices.Contains(words, "queue")
	several := slices.Contains(words, "or")
	for {
		end := slices.Index(words, "or")
		if end < 0 {
			end = len(words)
		}
		if end == 0 && several {
			return nil, false, errors.New(`the word "or" stands between two rules; one of them is missing`)
		}
		for _, text := range bothWays(words[:end]) {
			r, err := rules.Parse(text)
			if err != nil && several && !hasHook(words[:end]) {
				return nil, false, fmt.Errorf("%w; the word \"or\" stands between whole rules, "+
					"and several values have commas between them, as in dport 80,443", err)
			}
			if err != nil {
				return nil, false, err
			}
			all = append(all, r)
		}
		if end == len(words) {
			return all, anyQueue, nil
		}
		words = words[end+1:]
	}
}

// hasHook reports whether a rule has a hook.
func hasHook(words []string) bool {
	return slices.ContainsFunc(words, func(w string) bool {
		return slices.Contains(hooks, w) || w == "any" || w == "input" || w == "output"
	})
}

// bothWays returns a rule, or two in the place of one that has the word "any" for its hook.
func bothWays(words []string) []string {
	if len(words) == 0 || words[0] != "any" {
		return []string{strings.Join(words, " ")}
	}
	rest := strings.Join(words[1:], " ")
	return []string{"in " + rest, "out " + rest}
}

// explainDashes is for the flag errors of commands that take a rule: it tells those who write the
// rule as iptables has it.
func explainDashes(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return explainFlag(cmd, err)
	}
	name := unknown.GetSpecifiedName()
	if name >= "0" && name <= "9" {
		return fmt.Errorf("-%s... is taken for a flag; write -- before the words of a rule "+
			"with a negative number: %s -- out priority -5", name, cmd.CommandPath())
	}
	if slices.Contains(iptablesFlags, name) {
		return fmt.Errorf("%w; a rule has words without dashes, such as \"out udp dport 53\"", err)
	}
	return explainFlag(cmd, err)
}

// explainFlag is for the flag errors of all commands: it tells which flag was probably meant, and
// what a flag takes that has got something else.
func explainFlag(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		if meant := word.Closest(unknown.GetSpecifiedName(), names); meant != "" {
			return fmt.Errorf("%w; did you mean --%s?", err, meant)
		}
		return err
	}
	var invalid *pflag.InvalidValueError
	if !errors.As(err, &invalid) {
		return err
	}
	flag, want := invalid.GetFlag(), ""
	switch flag.Value.Type() {
	case "duration":
		want = "a time such as 500ms, 10s or 1m30s"
	case "uint32":
		want = "a whole number from 0 to 4294967295"
	case "uint64":
		want = "a whole number, 0 or more"
	case "int":
		want = "a whole number"
	default: // says so itself
		return err
	}
	return fmt.Errorf("--%s %q: want %s", flag.Name, invalid.GetValue(), want)
}

var iptablesFlags = []string{
	"A", "I", "p", "d", "i", "o", "m", "j", "protocol", "sport", "dport", "source", "destination",
}

// parseQueues reads "7" or "0-3".
func parseQueues(text string) (first, count uint16, err error) {
	r, ok := parseQueueRange(text)
	if !ok || r.last-r.first == 65535 {
		return 0, 0, fmt.Errorf("--queue %q: want a number from 0 to 65535, or a range such as 0-3", text)
	}
	return r.first, r.last - r.first + 1, nil
}

// verdictHelp is the help of a flag for parseVerdict.
const verdictHelp = "give each packet this `VERDICT`: accept, drop, repeat, stop, or queue:NUMBER for another queue"

func parseVerdict(text string) (nfqueue.Verdict, error) {
	switch text {
	case "accept":
		return nfqueue.Accept, nil
	case "drop":
		return nfqueue.Drop, nil
	case "repeat":
		return nfqueue.Repeat, nil
	case "stop":
		return nfqueue.Stop, nil
	}
	if number, ok := strings.CutPrefix(text, "queue:"); ok {
		if n, err := strconv.ParseUint(number, 10, 16); err == nil {
			return nfqueue.ToQueueOrAccept(uint16(n)), nil
		}
	}
	return 0, fmt.Errorf("--verdict %q: want accept, drop, repeat, stop or queue:NUMBER", text)
}

// parseMark reads the value of --mark, which may be missing.
func parseMark(text string) (*uint32, error) {
	if text == "" {
		return nil, nil
	}
	n, err := strconv.ParseUint(text, 0, 32)
	if err != nil {
		return nil, fmt.Errorf("--mark %q: want a number of 32 bits, such as 7 or 0x7", text)
	}
	mark := uint32(n)
	return &mark, nil
}

// checkRepeat refuses what would bring packets back for ever.
func checkRepeat(all []rules.Rule, mark *uint32) error {
	if mark == nil {
		return errors.New(
			"--verdict repeat brings each packet back for ever; have --mark set a mark that the rule does not match",
		)
	}
	for _, r := range all {
		if matched := (r.Mark^*mark)&r.MarkMask == 0; matched != (r.Not&rules.MatchMark != 0) {
			return fmt.Errorf(
				"--verdict repeat brings each packet back for ever, since rule %q matches the mark %#x that --mark sets; add \"mark 0/%#[2]x\" to it",
				r,
				*mark,
			)
		}
	}
	return nil
}

// queueRange is consecutive queues.
type queueRange struct{ first, last uint16 }

func (r queueRange) has(queue uint16) bool { return queue >= r.first && queue <= r.last }

// queueNames names queues, consecutive ones as a range: "queue 3", "queues 0-3 and 7".
func queueNames(queues []uint16) string {
	queues = slices.Sorted(slices.Values(queues))
	var names []string
	for i := 0; i < len(queues); {
		last := i
		for last+1 < len(queues) && queues[last+1] == queues[last]+1 {
			last++
		}
		name := strconv.Itoa(int(queues[i]))
		if last > i {
			name += "-" + strconv.Itoa(int(queues[last]))
		}
		names = append(names, name)
		i = last + 1
	}
	switch n := len(names); {
	case len(queues) == 1:
		return "queue " + names[0]
	case n > 1:
		names = append(names[:n-2], names[n-2]+" and "+names[n-1])
	}
	return "queues " + strings.Join(names, ", ")
}

// checkDescriptors returns an error if the process may not open n queues, each of which is a
// descriptor.
func checkDescriptors(n int) error {
	const others = 32 // descriptors of the process itself
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil ||
		uint64(n)+others <= limit.Cur {
		return nil
	}
	return unavailableError{
		fmt.Errorf("%d queues need a file descriptor each, and this process may have %d; "+
			"name fewer queues, or raise the limit with ulimit -n", n, limit.Cur),
	}
}

func (r queueRange) String() string {
	if r.first == r.last {
		return strconv.Itoa(int(r.first))
	}
	return fmt.Sprintf("%d-%d", r.first, r.last)
}

// parseQueueRange reads "5" or "0-3".
func parseQueueRange(s string) (r queueRange, ok bool) {
	from, to, isRange := strings.Cut(s, "-")
	if !isRange {
		to = from
	}
	first, err1 := strconv.ParseUint(from, 10, 16)
	last, err2 := strconv.ParseUint(to, 10, 16)
	return queueRange{uint16(first), uint16(last)}, err1 == nil && err2 == nil && first <= last
}
