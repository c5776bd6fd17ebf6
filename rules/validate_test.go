// SPDX-License-Identifier: GPL-2.0-or-later

package rules_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/rules"
)

// Errors that no text leads to.
func TestValidate(t *testing.T) {
	for _, c := range []struct {
		rule  rules.Rule
		field string
	}{
		{rules.Rule{}, ""},
		{rules.Rule{Family: 3}, "Family"},
		{rules.Rule{Hook: 5}, "Hook"},
		{rules.Rule{Src: []netip.Prefix{netip.PrefixFrom(netip.MustParseAddr("192.0.2.1"), 33)}}, "Src"},
		{rules.Rule{Protocol: rules.ICMP, SrcPort: rules.Ports{{First: 1}}}, "SrcPort"},
		{rules.Rule{Protocol: rules.TCP, DstPort: rules.Ports{{First: 2, Last: 1}}}, "DstPort"},
		{rules.Rule{CTState: 1 << 5}, "CTState"},
		{rules.Rule{Not: rules.MatchDst}, "Not"},
		{rules.Rule{Not: 1 << 31}, "Not"},
		{rules.Rule{Hook: nfqueue.HookOutput, Cgroup: "a b"}, "Cgroup"},
		{rules.Rule{Queue: 65535, Queues: 2}, "Queues"},
		{rules.Rule{Queue: 1, Queues: 65535}, ""},
		{rules.Rule{Queue: 2, Queues: 65535}, "Queues"},
		{rules.Rule{Hook: nfqueue.HookInput, InDevName: "a b"}, "InDevName"},
		{rules.Rule{Hook: nfqueue.HookForward, OutDevName: ".."}, "OutDevName"},
		{rules.Rule{InDevName: "\xff"}, "InDevName"},
		{rules.Rule{Offload: rules.Offload{Mask: 6}, Mark: 2, MarkMask: 3}, "Offload"},
		{rules.Rule{Offload: rules.Offload{Mask: 6}, Mark: 1, MarkMask: 3}, ""},
		{rules.Rule{Offload: rules.Offload{Mask: 6}, CTMark: 4, CTMarkMask: 4}, "Offload"},
		{rules.Rule{Offload: rules.Offload{Mask: 6}, CTMark: 4, CTMarkMask: 4, Not: rules.MatchCTMark}, ""},
	} {
		err := c.rule.Validate()
		var f *rules.FieldError
		if c.field == "" {
			if err != nil {
				t.Errorf("%+v: %v", c.rule, err)
			}
			continue
		}
		if !errors.As(err, &f) || f.Field != c.field {
			t.Errorf("%+v: %v, want an error of %s", c.rule, err, c.field)
		}
		if _, err := rules.Install(rules.Config{}, rules.Rule{}, c.rule); !errors.As(err, &f) ||
			f.Field != c.field {
			t.Errorf("Install: %v, want an error of %s", err, c.field)
		}
	}
	narrow := rules.Rule{Offload: rules.Offload{Mask: 3}}
	wide := rules.Rule{Offload: rules.Offload{Mask: 6}}
	if _, err := rules.Install(rules.Config{}, narrow, wide); err == nil ||
		!strings.Contains(err.Error(), "overlap") {
		t.Errorf("two masks with a bit in common: %v", err)
	}
	if _, err := rules.Install(rules.Config{}); err == nil {
		t.Error("no rules were installed")
	}
}
