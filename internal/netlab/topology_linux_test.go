// SPDX-License-Identifier: GPL-2.0-or-later

package netlab_test

import (
	"net/netip"
	"testing"

	rtnl "github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
)

func bothFamilies(t *testing.T, n *netlab.Network) {
	t.Helper()
	exchange(t, n.Client, n.Client4, n.Server, n.Server4)
	exchange(t, n.Client, n.Client6, n.Server, n.Server6)
}

func TestPair(t *testing.T) { bothFamilies(t, labtest.Pair(t)) }

// Duplicate address detection would send packets, and make each address wait a second or more.
func TestNoDuplicateAddressDetection(t *testing.T) {
	n := labtest.Pair(t)
	addrs, err := netlab.In(n.Client, func() ([]rtnl.Addr, error) {
		link, err := rtnl.LinkByName(netlab.Eth)
		if err != nil {
			return nil, err
		}
		return rtnl.AddrList(link, rtnl.FAMILY_V6)
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(addrs) != 1 || addrs[0].Flags != unix.IFA_F_NODAD|unix.IFA_F_PERMANENT {
		t.Errorf("addresses %+v, want one with the flags NODAD and PERMANENT", addrs)
	}
}

// What is made has to work at once, every time.
func TestRepeatedly(t *testing.T) {
	labtest.Need(t)
	for _, construct := range []func() (*netlab.Network, error){netlab.NewPair, netlab.NewRouted,
		netlab.NewBridged} {
		for range 5 {
			n, err := construct()
			if err != nil {
				t.Fatal(err)
			}
			bothFamilies(t, n)
			if err := n.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestRouted(t *testing.T) {
	n := labtest.Routed(t)
	var counted []*netlab.Rule
	for _, family := range []netlab.Family{netlab.IP, netlab.IP6} {
		chain := labtest.Chain(t, n.Middle, family, netlab.Forward, 0)
		counted = append(counted,
			labtest.Rule(t, chain, netlab.InDevName(netlab.ToClient), netlab.OutDevName(netlab.ToServer),
				netlab.Counter()),
			labtest.Rule(t, chain, netlab.InDevName(netlab.ToServer), netlab.OutDevName(netlab.ToClient),
				netlab.Counter()))
	}
	bothFamilies(t, n)
	for i, rule := range counted {
		wantCount(t, rule, 1)
		if t.Failed() {
			t.Fatalf("rule %d", i)
		}
	}
}

// Packets of the one network do not reach the other.
func TestZones(t *testing.T) {
	zones := labtest.Zones(t)
	chain := labtest.Chain(t, zones[0].Middle, netlab.Inet, netlab.Forward, 0)
	var counted []*netlab.Rule
	for zone := range zones {
		toClient, toServer := netlab.ZoneIfaces(zone)
		for _, way := range [2][2]string{{toClient, toServer}, {toServer, toClient}} {
			counted = append(counted, labtest.Rule(t, chain, netlab.Mark(uint32(zone+1)),
				netlab.InDevName(way[0]), netlab.OutDevName(way[1]), netlab.Counter()))
		}
	}
	for _, n := range zones {
		bothFamilies(t, n)
	}
	for _, rule := range counted {
		wantCount(t, rule, 2)
	}
}

func TestBridged(t *testing.T) {
	n := labtest.Bridged(t)
	// On Linux 6.1 and before, br_netfilter leaves out the chains of priority 0.
	const filter = -200 // NF_BR_PRI_FILTER_BRIDGED
	bridge := labtest.Chain(t, n.Middle, netlab.Bridge, netlab.Forward, filter)
	frames := labtest.Rule(t, bridge, netlab.InDevName(netlab.ToClient),
		netlab.L4Proto(unix.IPPROTO_UDP), netlab.Counter())
	bothFamilies(t, n)
	wantCount(t, frames, 2)
}

func TestFilterBridged(t *testing.T) {
	n := labtest.Bridged(t)
	labtest.Must(t, n.Middle.FilterBridged())
	for _, family := range []netlab.Family{netlab.IP, netlab.IP6} {
		chain := labtest.Chain(t, n.Middle, family, netlab.Forward, 0)
		rule := labtest.Rule(t, chain, netlab.InDevName(netlab.Br0), netlab.L4Proto(unix.IPPROTO_UDP),
			netlab.Counter())
		client, server := n.Client4, n.Server4
		if family == netlab.IP6 {
			client, server = n.Client6, n.Server6
		}
		exchange(t, n.Client, client, n.Server, server)
		wantCount(t, rule, 2)
	}
}

// Static neighbours make a run deterministic: no ARP, no neighbour solicitation.
func TestNoNeighbourTraffic(t *testing.T) {
	n := labtest.Pair(t)
	chain := labtest.Chain(t, n.Server, netlab.IP6, netlab.Input, 0)
	const neighbourSolicitation = 135
	rule := labtest.Rule(t, chain, netlab.L4Proto(unix.IPPROTO_ICMPV6),
		netlab.ICMPType(neighbourSolicitation), netlab.Counter())
	bothFamilies(t, n)
	wantCount(t, rule, 0)
	neighbours, err := netlab.In(n.Client, func() ([]rtnl.Neigh, error) { return rtnl.NeighList(0, rtnl.FAMILY_ALL) })
	if err != nil {
		t.Fatal(err)
	}
	permanent := map[netip.Addr]bool{}
	for _, e := range neighbours {
		if addr, ok := netip.AddrFromSlice(e.IP); ok && e.State == unix.NUD_PERMANENT {
			permanent[addr.Unmap()] = true
		}
	}
	if !permanent[n.Server4] || !permanent[n.Server6] {
		t.Errorf("permanent neighbours %v, want %v and %v", permanent, n.Server4, n.Server6)
	}
}

func TestConnectInsideOneHost(t *testing.T) {
	h := labtest.Host(t)
	p := netip.MustParsePrefix("2001:db8::1/64")
	err := netlab.Connect(netlab.End{Host: h, Name: "a", Addrs: []netip.Prefix{p}},
		netlab.End{Host: h, Name: "b"})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.AddAddr("lo", netip.MustParsePrefix("2001:db8:f::1/128"),
		netip.MustParsePrefix("203.0.113.1/32")); err != nil {
		t.Fatal(err)
	}
	exchange(t, h, p.Addr(), h, netip.MustParseAddr("2001:db8:f::1"))
}

func TestSetMTU(t *testing.T) {
	n := labtest.Pair(t)
	for _, h := range []*netlab.Host{n.Client, n.Server} {
		if err := h.SetMTU(netlab.Eth, 9000); err != nil {
			t.Fatal(err)
		}
	}
	link, err := netlab.In(n.Client, func() (rtnl.Link, error) { return rtnl.LinkByName(netlab.Eth) })
	if err != nil {
		t.Fatal(err)
	}
	if mtu := link.Attrs().MTU; mtu != 9000 {
		t.Errorf("MTU %d", mtu)
	}
	if err := n.Client.SetMTU("none", 9000); err == nil {
		t.Error("no error for a missing interface")
	}
}
