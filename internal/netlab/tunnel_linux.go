// SPDX-License-Identifier: GPL-2.0-or-later

package netlab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	rtnl "github.com/vishvananda/netlink"
)

// VXLANPort is the UDP port of the tunnels that Tunnel makes (RFC 7348).
const VXLANPort = 4789

// Vx0 is the name of the ends of a tunnel.
const Vx0 = "vx0"

// Tunnel makes a VXLAN tunnel between the client and the server of a pair, over IPv4, where its
// datagrams have checksums, or over IPv6, where they have none. It returns the addresses of its
// ends. The kernel must have VXLAN.
func (n *Network) Tunnel(over6 bool) (client, server netip.Addr, err error) {
	from, to := n.Client4, n.Server4
	if over6 {
		from, to = n.Client6, n.Server6
	}
	ends := [2]End{
		{Host: n.Client, Name: Vx0, Addrs: []netip.Prefix{netip.MustParsePrefix("203.0.113.1/24")}},
		{Host: n.Server, Name: Vx0, Addrs: []netip.Prefix{netip.MustParsePrefix("203.0.113.2/24")}},
	}
	err = inOrder(
		func() error { return errors.Join(ends[0].vxlan(from, to), ends[1].vxlan(to, from)) },
		func() error { return errors.Join(ends[0].address(), ends[1].address()) },
		func() error { return introduce(ends[0], ends[1]) },
	)
	return ends[0].Addrs[0].Addr(), ends[1].Addrs[0].Addr(), err
}

func (e End) vxlan(local, remote netip.Addr) error {
	attrs := rtnl.NewLinkAttrs()
	attrs.Name = e.Name
	err := e.Host.route.LinkAdd(&rtnl.Vxlan{
		LinkAttrs: attrs, VxlanId: 1, Port: VXLANPort,
		SrcAddr: net.IP(local.AsSlice()), Group: net.IP(remote.AsSlice()),
		UDPCSum: true, UDP6ZeroCSumTx: true, UDP6ZeroCSumRx: true,
	})
	if err != nil {
		return fmt.Errorf("netlab: VXLAN %s: %w", e.Name, err)
	}
	return e.setUp()
}
