// SPDX-License-Identifier: GPL-2.0-or-later

package rewrite

import (
	"strings"
	"testing"
)

// packet4 and packet6 return packets of a protocol and a length.
func packet4(protocol byte, length int, dontFragment bool) []byte {
	b := make([]byte, length)
	b[0], b[2], b[3], b[9] = 0x45, byte(length>>8), byte(length), protocol
	if dontFragment {
		b[6] = 0x40
	}
	return b
}

func packet6(protocol byte, length int) []byte {
	b := make([]byte, length)
	b[0], b[4], b[5], b[6] = 0x60, byte((length-40)>>8), byte(length-40), protocol
	return b
}

// TestMustFit: only a packet that grows, and that the kernel would not fragment, must fit the MTU.
func TestMustFit(t *testing.T) {
	const tcp, udp = 6, 17
	at := func(version byte, hook uint8) Queued { return Queued{Version: version, Hook: hook} }
	for _, c := range []struct {
		name     string
		queued   Queued
		old, new []byte
		want     bool
	}{
		{"forward", at(4, forward), packet4(udp, 100, true), packet4(udp, 101, true), true},
		{"forward, no longer", at(4, forward), packet4(udp, 100, true), packet4(udp, 100, true), false},
		{"forward, may be fragmented", at(4, forward), packet4(udp, 100, true),
			packet4(udp, 101, false), false},
		{"forward, IPv6", at(6, forward), packet6(udp, 100), packet6(udp, 101), true},
		{"output, UDP", at(4, output), packet4(udp, 100, true), packet4(udp, 101, true), false},
		{"output, TCP", at(4, output), packet4(tcp, 100, true), packet4(tcp, 101, true), true},
		{"postrouting, TCP over IPv6", at(6, postrouting), packet6(tcp, 100), packet6(tcp, 101), true},
		{"postrouting, UDP", at(4, postrouting), packet4(udp, 100, true), packet4(udp, 101, true), false},
		{"postrouting, forwarded", Queued{Version: 4, Hook: postrouting, Received: true},
			packet4(udp, 100, true), packet4(udp, 101, true), true},
		{"postrouting, forwarded IPv6", Queued{Version: 6, Hook: postrouting, Received: true},
			packet6(udp, 100), packet6(udp, 101), true},
		{"prerouting", at(4, prerouting), packet4(tcp, 100, true), packet4(tcp, 101, true), false},
		{"input", at(6, input), packet6(tcp, 100), packet6(tcp, 101), false},
		{"bridge", Queued{Version: 4, Hook: forward, Bridge: true}, packet4(tcp, 100, true),
			packet4(tcp, 101, true), false},
		{"super-packet", Queued{Version: 4, Hook: forward, Segments: true}, packet4(tcp, 100, true),
			packet4(tcp, 101, true), false},
		{"not readable", at(4, forward), []byte{0x45}, []byte{0x45, 0}, false},
		{"not IP", at(0, forward), []byte("abc"), []byte("abcd"), false},
	} {
		o := Read(c.queued, c.old)
		if got := o.MustFit(c.new); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// TestFit: a packet that was reassembled, and one for an interface with an unknown MTU, may be longer.
func TestFit(t *testing.T) {
	o := Read(Queued{Version: 6, Hook: forward}, packet6(17, 1400))
	long := packet6(17, 1501)
	if err := o.Fit(long, 1500, "eth7"); err == nil || !strings.Contains(err.Error(),
		"MTU of 1500 of eth7") {
		t.Errorf("%v", err)
	}
	for _, mtu := range []int{0, 1300, 1501} {
		if err := o.Fit(long, mtu, "eth7"); err != nil {
			t.Errorf("MTU %d: %v", mtu, err)
		}
	}
}
