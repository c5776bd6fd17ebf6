// SPDX-License-Identifier: GPL-2.0-or-later

package netlab

import (
	"fmt"
	"net"
	"net/netip"

	rtnl "github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// AddAddr adds addresses to an interface. They are usable when it returns: IPv6 skips duplicate
// address detection.
func (h *Host) AddAddr(name string, addrs ...netip.Prefix) error {
	link, err := h.link(name)
	if err != nil {
		return err
	}
	for _, p := range addrs {
		a := &rtnl.Addr{IPNet: ipNet(p)}
		if p.Addr().Is6() {
			a.Flags = unix.IFA_F_NODAD
		}
		if err := h.route.AddrAdd(link, a); err != nil {
			return fmt.Errorf("netlab: address %v on %s: %w", p, name, err)
		}
		if p.Addr().Is6() {
			if err := h.awaitLocal(p.Addr()); err != nil {
				return err
			}
		}
	}
	return nil
}

// AddRoute makes the host send packets for dst to the router via, which has to be on one of its
// links.
func (h *Host) AddRoute(dst netip.Prefix, via netip.Addr) error {
	if err := h.route.RouteAdd(&rtnl.Route{Dst: ipNet(dst), Gw: via.AsSlice()}); err != nil {
		return fmt.Errorf("netlab: route to %v via %v: %w", dst, via, err)
	}
	return nil
}

// RouteMarked makes the host send packets whose mark has this lowest byte to the networks of these
// interfaces only. It uses the routing table of the number 100 + mark.
func (h *Host) RouteMarked(mark uint8, ends ...End) error {
	const lowest = 0xff
	table := 100 + int(mark)
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		rule := rtnl.NewRule()
		mask := uint32(lowest)
		rule.Family, rule.Mark, rule.Mask, rule.Table = family, uint32(mark), &mask, table
		if err := h.route.RuleAdd(rule); err != nil {
			return fmt.Errorf("netlab: routing rule for mark %d: %w", mark, err)
		}
	}
	for _, e := range ends {
		link, err := h.link(e.Name)
		if err != nil {
			return err
		}
		for _, p := range e.Addrs {
			route := &rtnl.Route{Dst: ipNet(p.Masked()), LinkIndex: link.Attrs().Index, Table: table}
			if err := h.route.RouteAdd(route); err != nil {
				return fmt.Errorf("netlab: route to %v by %s in table %d: %w", p, e.Name, table, err)
			}
		}
	}
	return nil
}

// AddNeighbours tells the host all addresses of an interface of another host on the same link, so
// that neither ARP nor neighbour discovery is needed.
func (h *Host) AddNeighbours(name string, other *Host, otherName string) error {
	link, err := h.link(name)
	if err != nil {
		return err
	}
	neighbour, err := other.link(otherName)
	if err != nil {
		return err
	}
	addrs, err := other.route.AddrList(neighbour, rtnl.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("netlab: addresses of %s: %w", otherName, err)
	}
	for _, a := range addrs {
		err := h.route.NeighSet(&rtnl.Neigh{
			LinkIndex:    link.Attrs().Index,
			State:        unix.NUD_PERMANENT,
			IP:           a.IP,
			HardwareAddr: neighbour.Attrs().HardwareAddr,
		})
		if err != nil {
			return fmt.Errorf("netlab: neighbour %v on %s: %w", a.IP, name, err)
		}
	}
	return nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
