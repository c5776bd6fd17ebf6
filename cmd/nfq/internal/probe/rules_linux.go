// SPDX-License-Identifier: GPL-2.0-or-later

package probe

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/queuerules"
	"golang.org/x/sys/unix"
)

// allRules returns the rules that queue, and whether these are all.
func (r *Report) allRules() (all []queuerules.Rule, complete bool) {
	complete = true
	for _, source := range []struct {
		check, name string
		read        func() ([]queuerules.Rule, error)
	}{
		{"rules-nftables", "the rules of nf_tables", queuerules.NFTables},
		{"rules-xtables", "the rules of iptables-legacy", queuerules.XTables},
	} {
		found, err := source.read()
		if err != nil {
			complete = false
			fix := ""
			if errors.Is(err, fs.ErrPermission) {
				fix = "run as root"
			}
			r.add(source.check, Unknown, fix, "%s cannot be read: %v", source.name, err)
		}
		all = append(all, found...)
	}
	if complete && len(all) == 0 {
		r.add("rules-present", Info, "", "no rule queues packets")
	}
	return all, complete
}

// serving reports who has bound a queue.
type serving func(queue uint16) (bool, error)

// askKernel is a serving for users who may not read the table of queues. An empty request fails
// with ENODEV if nobody has bound the queue, and with EPERM if somebody else has.
func askKernel(queue uint16) (bool, error) {
	err := request(queue, 0)
	switch {
	case err == nil, errors.Is(err, unix.EPERM):
		return true, nil
	case errors.Is(err, unix.ENODEV):
		return false, nil
	}
	return false, err
}

// group is rules of a chain that send packets to the same queues, such as the several that one line
// of package rules becomes.
type group []queuerules.Rule

// String returns where the rules are and the queues.
func (g group) String() string {
	if len(g) == 1 {
		return fmt.Sprintf("%s (%s)", g[0].Where, g[0].Queues())
	}
	return fmt.Sprintf("%s, %d rules (%s)", g[0].Chain, len(g), g[0].Queues())
}

// removal says how to delete the rules.
func (g group) removal() string {
	commands := make([]string, len(g))
	for i, rule := range g {
		commands[i] = rule.Delete
	}
	if len(g) == 1 {
		return "delete the rule: " + commands[0]
	}
	return "delete the rules: " + strings.Join(commands, "; ")
}

// groups sorts rules into groups. Rules of iptables stay alone, since their place is their number.
func groups(all []queuerules.Rule) []group {
	var sorted []group
	for _, rule := range all {
		i := slices.IndexFunc(sorted, func(g group) bool {
			has := g[0]
			has.Where, has.Delete = rule.Where, rule.Delete
			return rule.Chain != "" && has == rule
		})
		if i < 0 {
			sorted = append(sorted, group{rule})
		} else {
			sorted[i] = append(sorted[i], rule)
		}
	}
	return sorted
}

// served checks that there is a program behind every rule.
func (r *Report) served(all []queuerules.Rule, has serving) {
	const check = "rule-served"
	for _, where := range groups(all) {
		rule := where[0]
		if rule.Mapped {
			r.add(check, Info, "", "%s: which queues are meant cannot be told", where)
			continue
		}
		var missing []uint16
		var failed error
		for n := int(rule.First); n <= int(rule.Last); n++ {
			ok, err := has(uint16(n))
			if err != nil {
				failed = err
			} else if !ok {
				missing = append(missing, uint16(n))
			}
		}
		fix := "start the program that serves it, or " + where.removal()
		switch {
		case len(missing) > 0 && rule.Bypass:
			r.add(check, Info, "", "%s: nobody serves %s; packets pass (bypass)",
				where, list(missing))
		case len(missing) > 0:
			r.add(check, Problem, fix+"; a rule with bypass lets packets pass instead",
				"%s: nobody serves %s; the packets are dropped", where, list(missing))
		case failed != nil:
			r.add(check, Unknown, "", "%s: whether it is served: %v", where, failed)
		default:
			r.add(check, OK, "", "%s: served", where)
		}
	}
}

// list names queues, some of them if there are many.
func list(queues []uint16) string {
	const most = 4
	s := "queue"
	for i, q := range queues {
		if i == most {
			return fmt.Sprintf("%s and %d more", s, len(queues)-most)
		}
		if i > 0 {
			s += ","
		}
		s += fmt.Sprintf(" %d", q)
	}
	return s
}
