// SPDX-License-Identifier: GPL-2.0-or-later

package netlab

import (
	"errors"
	"fmt"
)

// Zones are two networks with the same addresses and one router, which is Middle of both.
type Zones [2]*Network

// ZoneIfaces returns the names of the interfaces by which the router reaches the client and the
// server of a zone.
func ZoneIfaces(zone int) (toClient, toServer string) {
	return fmt.Sprintf("client%d", zone), fmt.Sprintf("server%d", zone)
}

// NewZones makes two networks as NewRouted does. For each, the router has a conntrack zone and a
// mark of packets, both of which are the number of the zone plus one, and a routing table. It also
// routes what it sends to reject a packet by the packet's mark.
func NewZones() (Zones, error) {
	router, err := New()
	if err != nil {
		return Zones{}, err
	}
	var z Zones
	err = router.tellZones()
	for i := 0; i < len(z) && err == nil; i++ {
		z[i], err = newZone(router, i)
	}
	if err != nil {
		return Zones{}, errors.Join(err, z.Close(), router.Close())
	}
	return z, nil
}

func newZone(router *Host, zone int) (*Network, error) {
	return build(
		addrs(near4, near6, "1"), addrs(far4, far6, "1"),
		func(n *Network, client, server End) error {
			n.Middle = router
			ends := n.routerEnds(ZoneIfaces(zone))
			if err := route(client, server, ends); err != nil {
				return err
			}
			return router.RouteMarked(uint8(zone+1), ends[:]...)
		},
	)
}

// tellZones has the router tell zones apart by the interface of arrival.
func (h *Host) tellZones() error {
	if err := h.Forward(); err != nil {
		return err
	}
	for _, path := range []string{
		"ipv4/fwmark_reflect", "ipv6/fwmark_reflect", "ipv4/conf/all/src_valid_mark",
	} {
		if err := h.SetSysctl(path, "1"); err != nil {
			return err
		}
	}
	table, err := h.AddTable(Inet, "zones")
	if err != nil {
		return err
	}
	chain, err := table.AddChain("raw", Prerouting, -300, PolicyAccept)
	if err != nil {
		return err
	}
	for zone := range len(Zones{}) {
		toClient, toServer := ZoneIfaces(zone)
		for _, name := range []string{toClient, toServer} {
			_, err := chain.AddRule(InDevName(name), SetZone(uint16(zone+1)), SetMark(uint32(zone+1)))
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// Close closes all hosts.
func (z Zones) Close() error {
	var errs []error
	for _, n := range z {
		if n != nil {
			errs = append(errs, n.Close())
		}
	}
	return errors.Join(errs...)
}
