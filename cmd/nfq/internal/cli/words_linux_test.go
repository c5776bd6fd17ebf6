// SPDX-License-Identifier: GPL-2.0-or-later

package cli

import (
	"strings"
	"testing"
)

// TestRepeat: a packet that is repeated must not match its rule again.
func TestRepeat(t *testing.T) {
	for rule, endless := range map[string]bool{
		"out":                   true,
		"out mark 5":            true,
		"out mark 0/4":          false,
		"out not mark 5":        false,
		"out not mark 4/4":      false,
		"out not mark 8/8":      true,
		"out mark 0/4 or in ip": true,
	} {
		all, _, err := parseRules([]string{rule})
		if err != nil {
			t.Fatal(err)
		}
		mark := uint32(5)
		if err := checkRepeat(all, &mark); (err != nil) != endless {
			t.Errorf("%q: %v", rule, err)
		}
	}
	if checkRepeat(nil, nil) == nil {
		t.Error("packets are repeated without a mark")
	}
}

// TestHookMissing: people who know tcpdump name no hook.
func TestHookMissing(t *testing.T) {
	for rule, hint := range map[string]bool{
		"udp port 53":     true,
		"udp or out":      false, // is told what the word "or" means
		"forwrd":          false,
		"bridge forward":  false,
		"any udp port 53": false,
	} {
		_, _, err := parseRules([]string{rule})
		got := err != nil && strings.Contains(err.Error(), `"any" before the rule`)
		if got != hint {
			t.Errorf("%q: %v", rule, err)
		}
	}
}
