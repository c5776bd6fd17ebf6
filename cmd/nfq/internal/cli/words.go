// SPDX-License-Identifier: GPL-2.0-or-later

//go:build linux

package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/chifflier/nfqueue-go/rules"
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
			var at *rules.ParseError
			if errors.As(err, &at) && at.Word == "" && !hasHook(words[:end]) {
				return nil, false, fmt.Errorf(`%w; "any" before the rule is for in and out`, err)
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
