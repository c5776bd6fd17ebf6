// SPDX-License-Identifier: GPL-2.0-or-later

package impair

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/rules"
)

var errSymmetric = errors.New(
	"the rule matches both directions already; impair them together, or name the port, the address or the interface of one side",
)

// Mirror returns rules for the answers to what others match.
func Mirror(all []rules.Rule) ([]rules.Rule, error) {
	var back []rules.Rule
	for _, r := range all {
		m, err := mirror(r)
		if err == nil {
			err = m.Validate()
		}
		var field *rules.FieldError
		if errors.As(err, &field) {
			err = field.Err // the names of fields are for Go
		}
		if err != nil {
			return nil, fmt.Errorf("the answers to %q: %w", r, err)
		}
		back = append(back, m)
	}
	return back, nil
}

var mirrorHook = map[nfqueue.Hook]nfqueue.Hook{
	nfqueue.HookPrerouting:  nfqueue.HookPostrouting,
	nfqueue.HookInput:       nfqueue.HookOutput,
	nfqueue.HookForward:     nfqueue.HookForward,
	nfqueue.HookOutput:      nfqueue.HookInput,
	nfqueue.HookPostrouting: nfqueue.HookPrerouting,
}

var mirrorMatch = map[rules.Match]rules.Match{
	rules.MatchInDevName:  rules.MatchOutDevName,
	rules.MatchOutDevName: rules.MatchInDevName,
	rules.MatchSrc:        rules.MatchDst,
	rules.MatchDst:        rules.MatchSrc,
	rules.MatchSrcPort:    rules.MatchDstPort,
	rules.MatchDstPort:    rules.MatchSrcPort,
}

func mirror(r rules.Rule) (rules.Rule, error) {
	if r.ICMPType != (rules.ICMPType{}) {
		return r, errors.New("the answers have another ICMP type; leave the type out")
	}
	m := r
	m.Hook = mirrorHook[r.Hook]
	m.InDevName, m.OutDevName = r.OutDevName, r.InDevName
	m.Src, m.Dst = r.Dst, r.Src
	m.SrcPort, m.DstPort = r.DstPort, r.SrcPort
	m.Not = 0
	for one := rules.Match(1); one != 0 && one <= r.Not; one <<= 1 {
		if r.Not&one != 0 {
			m.Not |= cmp.Or(mirrorMatch[one], one)
		}
	}
	if m.Equal(r) {
		return r, errSymmetric
	}
	return m, nil
}
