// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"errors"
	"testing"
)

func TestVerdict(t *testing.T) {
	for _, c := range []struct {
		v     Verdict
		name  string
		valid bool
	}{
		{Drop, "drop", true},
		{Accept, "accept", true},
		{2, "verdict 0x2", false},
		{ToQueue(0), "queue 0", true},
		{ToQueue(65535), "queue 65535", true},
		{ToQueueOrAccept(7), "queue 7 bypass", true},
		{Repeat, "repeat", true},
		{Stop, "stop", true},
		{6, "verdict 0x6", false},
		{Deferred, "deferred", false},
		{Accept | 0x10000, "verdict 0x10001", false},
		{ToQueue(7) | 0x4000, "verdict 0x74003", false},
		{0xffffffff, "verdict 0xffffffff", false},
	} {
		if got := c.v.String(); got != c.name {
			t.Errorf("%#x is called %q, want %q", uint32(c.v), got, c.name)
		}
		err := c.v.check()
		if (err == nil) != c.valid || err != nil && !errors.Is(err, ErrInvalidVerdict) {
			t.Errorf("check of %v: %v", c.v, err)
		}
	}
	if n, ok := ToQueueOrAccept(7).Queue(); n != 7 || !ok {
		t.Errorf("Queue of %v = %d, %v", ToQueueOrAccept(7), n, ok)
	}
	if _, ok := Accept.Queue(); ok {
		t.Error("Accept has a queue")
	}
}

func TestNames(t *testing.T) {
	for _, c := range []struct {
		got  interface{ String() string }
		want string
	}{
		{FamilyIPv4, "ip"}, {FamilyIPv6, "ip6"}, {FamilyBridge, "bridge"}, {Family(3), "family 3"},
		{HookPrerouting, "prerouting"}, {HookInput, "input"}, {HookForward, "forward"},
		{HookOutput, "output"}, {HookPostrouting, "postrouting"}, {Hook(5), "hook 5"},
		{CopyPacket, "packet"}, {CopyMeta, "meta"}, {CopyNone, "none"}, {CopyMode(9), "copy mode 9"},
		{Flags(0), "none"}, {FailOpen | NoGSO, "fail-open|no-gso"}, {UIDGID | 0x40, "uid-gid|0x40"},
		{ChecksumNotReady | SegmentationPending | ChecksumNotVerified,
			"csum-not-ready|gso|csum-not-verified"},
	} {
		if got := c.got.String(); got != c.want {
			t.Errorf("%#v is called %q, want %q", c.got, got, c.want)
		}
	}
}
