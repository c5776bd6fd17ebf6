// SPDX-License-Identifier: GPL-2.0-or-later

package cli

import "testing"

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
