// SPDX-License-Identifier: GPL-2.0-or-later

package netlab

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"

	rtnl "github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
)

// End is one end of a veth pair.
type End struct {
	Host   *Host
	Name   string         // interface name, at most 15 bytes
	Addrs  []netip.Prefix // addresses with the length of the prefix on the link
	Bridge string         // bridge in Host whose port the end becomes, none if empty
}

// nearIndex returns an index for the first end of a pair. The kernel takes up to a second to notice
// the carrier of an interface whose index is that of its peer (linkwatch_urgent_event), as in two
// hosts with one link each. So this index is above all that the kernel assigns. It is random, since
// other processes may make pairs in the same host.
func nearIndex() int {
	const above = 1 << 16
	return above + rand.IntN(math.MaxInt32-above)
}

// Connect makes a veth pair between two hosts, or inside one. When it returns, both ends pass
// packets, their addresses are usable, and each knows the other's hardware address. MTU and
// offloads are the kernel's defaults.
//
// The ends have no IPv6 link-local address, so the kernel sends nothing on its own, except
// multicast listener reports when an address is added. A router without a link-local address cannot
// discover neighbours: if a bridge is in between, use Host.AddNeighbours.
func Connect(a, b End) error {
	attrs := rtnl.NewLinkAttrs()
	attrs.Name, attrs.Namespace = a.Name, rtnl.NsFd(a.Host.FD())
	attrs.Index = nearIndex()
	err := a.Host.route.LinkAdd(
		&rtnl.Veth{LinkAttrs: attrs, PeerName: b.Name, PeerNamespace: rtnl.NsFd(b.Host.FD())},
	)
	if err != nil {
		return fmt.Errorf("netlab: veth pair %s, %s: %w", a.Name, b.Name, err)
	}
	for _, step := range []func(End) error{End.setUp, End.awaitCarrier, End.attach, End.address} {
		if err := errors.Join(step(a), step(b)); err != nil {
			return err
		}
	}
	return introduce(a, b)
}

// introduce makes two ends neighbours of each other.
func introduce(a, b End) error {
	return errors.Join(
		a.Host.AddNeighbours(a.Name, b.Host, b.Name), b.Host.AddNeighbours(b.Name, a.Host, a.Name),
	)
}

func (e End) setUp() error {
	link, err := e.Host.link(e.Name)
	if err != nil {
		return err
	}
	if err := e.Host.route.LinkSetIP6AddrGenMode(link, nl.IN6_ADDR_GEN_MODE_NONE); err != nil {
		return fmt.Errorf("netlab: %s: no link-local address: %w", e.Name, err)
	}
	if err := e.Host.route.LinkSetUp(link); err != nil {
		return fmt.Errorf("netlab: %s up: %w", e.Name, err)
	}
	return nil
}

// awaitCarrier waits until the interface is operational. An interface that was set up before its
// peer drops packets until the kernel has noticed the carrier, which happens some time later.
func (e End) awaitCarrier() error { return e.Host.awaitCarrier(e.Name) }

// attach makes the end a port of its bridge. A port that already has its carrier forwards at once.
func (e End) attach() error {
	if e.Bridge == "" {
		return nil
	}
	link, err := e.Host.link(e.Name)
	if err != nil {
		return err
	}
	bridge, err := e.Host.link(e.Bridge)
	if err != nil {
		return err
	}
	if err := e.Host.route.LinkSetMaster(link, bridge); err != nil {
		return fmt.Errorf("netlab: %s into bridge %s: %w", e.Name, e.Bridge, err)
	}
	return e.Host.awaitCarrier(e.Bridge)
}

func (e End) address() error { return e.Host.AddAddr(e.Name, e.Addrs...) }

// AddBridge makes a bridge without ports, which is up, with neither spanning tree nor multicast
// snooping.
func (h *Host) AddBridge(name string) error {
	attrs := rtnl.NewLinkAttrs()
	attrs.Name = name
	snooping := false
	if err := h.route.LinkAdd(&rtnl.Bridge{LinkAttrs: attrs,
		MulticastSnooping: &snooping}); err != nil {
		return fmt.Errorf("netlab: bridge %s: %w", name, err)
	}
	return End{Host: h, Name: name}.setUp()
}

// SetMTU sets the MTU of an interface.
func (h *Host) SetMTU(name string, mtu int) error {
	link, err := h.link(name)
	if err != nil {
		return err
	}
	if err := h.route.LinkSetMTU(link, mtu); err != nil {
		return fmt.Errorf("netlab: %s: MTU %d: %w", name, mtu, err)
	}
	return nil
}

// SetUp sets an interface up, or down. If it goes down the kernel drops the packets in any queue
// that arrived on it or would leave by it, and removes its routes and neighbours.
func (h *Host) SetUp(name string, up bool) error {
	link, err := h.link(name)
	if err != nil {
		return err
	}
	set := h.route.LinkSetUp
	if !up {
		set = h.route.LinkSetDown
	}
	if err := set(link); err != nil {
		return fmt.Errorf("netlab: %s: up %v: %w", name, up, err)
	}
	return nil
}

// DelLink removes an interface, with its peer if it is an end of a veth pair.
func (h *Host) DelLink(name string) error {
	link, err := h.link(name)
	if err != nil {
		return err
	}
	if err := h.route.LinkDel(link); err != nil {
		return fmt.Errorf("netlab: delete %s: %w", name, err)
	}
	return nil
}

func (h *Host) link(name string) (rtnl.Link, error) {
	link, err := h.route.LinkByName(name)
	if err != nil {
		return nil, fmt.Errorf("netlab: interface %s: %w", name, err)
	}
	return link, nil
}
