// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueuetest_test

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
)

// look calls fn with the packet that a handler sees.
func look(t *testing.T, s nfqueuetest.Spec, fn func(p *nfqueue.Packet)) {
	t.Helper()
	nfqueuetest.Do(t, nfqueue.Config{Flags: nfqueue.UIDGID | nfqueue.SecCtx},
		handlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
			fn(p)
			return nfqueue.Accept
		}), s)
}

func TestSpecDefaults(t *testing.T) {
	type devs struct{ in, out, physIn, physOut string }
	for _, c := range []struct {
		spec nfqueuetest.Spec
		hook nfqueue.Hook
		fam  nfqueue.Family
		typ  uint16
		devs devs
		hw   bool
	}{
		{nfqueuetest.Spec{}, nfqueue.HookPrerouting, nfqueue.FamilyIPv4, 0x0800, devs{in: "eth0"}, true},
		{nfqueuetest.Spec{Hook: nfqueue.HookInput, Family: nfqueue.FamilyIPv6}, nfqueue.HookInput,
			nfqueue.FamilyIPv6, 0x86dd, devs{in: "eth0"}, true},
		{nfqueuetest.Spec{Hook: nfqueue.HookForward}, nfqueue.HookForward, nfqueue.FamilyIPv4, 0x0800,
			devs{in: "eth0", out: "eth1"}, true},
		{nfqueuetest.Spec{Hook: nfqueue.HookOutput}, nfqueue.HookOutput, nfqueue.FamilyIPv4, 0x0800,
			devs{out: "eth0"}, false},
		{nfqueuetest.Spec{Hook: nfqueue.HookPostrouting, Payload: echo6}, nfqueue.HookPostrouting,
			nfqueue.FamilyIPv6, 0x86dd, devs{out: "eth0"}, false},
		{nfqueuetest.Spec{Hook: nfqueue.HookForward, Family: nfqueue.FamilyBridge}, nfqueue.HookForward,
			nfqueue.FamilyBridge, 0x0800, devs{"br0", "br0", "eth0", "eth1"}, true},
		{nfqueuetest.Spec{InDevName: "wan", InDev: 77}, nfqueue.HookPrerouting, nfqueue.FamilyIPv4,
			0x0800, devs{in: "wan"}, true},
		{nfqueuetest.Spec{Hook: nfqueue.HookOutput, OutDevName: "lo"}, nfqueue.HookOutput,
			nfqueue.FamilyIPv4, 0x0800, devs{out: "lo"}, false},
		{nfqueuetest.Spec{Hook: nfqueue.HookOutput, OutDev: 1}, nfqueue.HookOutput, nfqueue.FamilyIPv4,
			0x0800, devs{out: "lo"}, false},
		{nfqueuetest.Spec{Hook: nfqueue.HookOutput, OutDev: 99}, nfqueue.HookOutput, nfqueue.FamilyIPv4,
			0x0800, devs{}, false},
	} {
		look(t, c.spec, func(p *nfqueue.Packet) {
			got := devs{p.InDevName(), p.OutDevName(), p.PhysInDevName(), p.PhysOutDevName()}
			if p.Hook() != c.hook || p.Family() != c.fam || p.EtherType() != c.typ || got != c.devs ||
				(p.HardwareAddr() != nil) != c.hw {
				t.Errorf("%+v: %v %v %#x %+v %v", c.spec, p.Hook(), p.Family(), p.EtherType(), got,
					p.HardwareAddr())
			}
			if c.spec.OutDev != 0 && p.OutDev() != c.spec.OutDev || c.spec.InDev != 0 &&
				p.InDev() != c.spec.InDev {
				t.Errorf("indexes %d %d", p.InDev(), p.OutDev())
			}
			if len(p.Payload()) == 0 || p.FullLen() != len(p.Payload()) {
				t.Errorf("payload of %d bytes of %d", len(p.Payload()), p.FullLen())
			}
			wantLink := 0
			if c.fam == nfqueue.FamilyBridge {
				wantLink = 14
			}
			if len(p.LinkHeader()) != wantLink {
				t.Errorf("link header %x", p.LinkHeader())
			}
		})
	}
}

var echo6 = nfqueuetest.Echo(netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2"),
	1, 2, []byte("body"))

// Everything that a Spec says reaches the handler.
func TestSpecAttributes(t *testing.T) {
	mac := net.HardwareAddr{2, 4, 6, 8, 10, 12}
	at := time.Unix(1700000000, 123456000)
	tag := nfqueue.VLAN{TCI: 0xe064, Protocol: 0x88a8}
	look(t, nfqueuetest.Spec{
		Family: nfqueue.FamilyBridge, Hook: nfqueue.HookForward,
		Mark: 1, Priority: 2, HardwareAddr: mac, VLAN: tag, Time: at,
		Owner: &nfqueuetest.Owner{UID: 0, GID: 100}, CgroupClassID: 3,
		SecurityContext: []byte("system_u\x00"), SKBInfo: nfqueue.ChecksumNotVerified,
		LinkHeader: []byte("link"), Payload: echo6,
	}, func(p *nfqueue.Packet) {
		priority, _ := p.Priority()
		uid, hasUID := p.UID()
		gid, _ := p.GID()
		class, _ := p.CgroupClassID()
		vlan, _ := p.VLAN()
		when, _ := p.Time()
		if p.Mark() != 1 || priority != 2 || !hasUID || uid != 0 || gid != 100 || class != 3 ||
			vlan != tag || !when.Equal(at) {
			t.Errorf("mark %d priority %d uid %d gid %d class %d vlan %v time %v", p.Mark(), priority, uid,
				gid, class, vlan, when)
		}
		if !bytes.Equal(p.HardwareAddr(), mac) || string(p.SecurityContext()) != "system_u" ||
			p.SKBInfo() != nfqueue.ChecksumNotVerified ||
			string(p.LinkHeader()) != "link" || !bytes.Equal(p.Payload(), echo6) {
			t.Errorf("%v %q %v %q %x", p.HardwareAddr(), p.SecurityContext(), p.SKBInfo(), p.LinkHeader(),
				p.Payload())
		}
	})
}

// A packet of which only a part is known looks like one that was copied in part.
func TestSpecFullLen(t *testing.T) {
	r := nfqueuetest.Do(t, nfqueue.Config{}, handlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		if !p.Truncated() || p.FullLen() != 1500 || !bytes.Equal(p.Payload(), echo6) {
			t.Errorf("%d of %d bytes, truncated: %v", len(p.Payload()), p.FullLen(), p.Truncated())
		}
		if err := p.SetPayload(p.Payload()); !errors.Is(err, nfqueue.ErrTruncated) {
			t.Errorf("SetPayload: %v", err)
		}
		return nfqueue.Accept
	}), nfqueuetest.Spec{Payload: echo6, FullLen: 1500})
	if !r.Passed || !bytes.Equal(r.Payload, echo6) {
		t.Errorf("%+v", r)
	}
}

// The kernel does not tell what the flags of a queue do not ask for.
func TestSpecNeedsFlags(t *testing.T) {
	k := nfqueuetest.NewKernel(t)
	k.Serve(nfqueue.Config{}, handlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		_, uid := p.UID()
		_, gid := p.GID()
		if uid || gid || p.SecurityContext() != nil {
			t.Error("more than was asked for")
		}
		return nfqueue.Accept
	}))
	k.Send(0, nfqueuetest.Spec{Owner: &nfqueuetest.Owner{}, SecurityContext: []byte("x"),
		Conntrack: []byte{}}).Result()
}
