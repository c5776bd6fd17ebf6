// SPDX-License-Identifier: GPL-2.0-or-later

package netlab

import (
	"errors"
	"net/netip"
)

// Interface names in the topologies.
const (
	Eth      = "eth0"    // the only link of client and server
	ToClient = "client0" // of the host in the middle
	ToServer = "server0" // of the host in the middle
	Br0      = "br0"     // of the host in the middle of NewBridged
)

// Network is a client and a server, with at most one host between them. The addresses are from the
// prefixes for documentation. Neighbours are known from the start: neither ARP nor neighbour
// discovery packets appear.
type Network struct {
	Client, Server   *Host
	Middle           *Host // router or bridge, nil in a pair
	Client4, Client6 netip.Addr
	Server4, Server6 netip.Addr
}

// Prefixes of the link with the client, and of the link between router and server.
const (
	near4, near6 = "192.0.2.", "2001:db8:1::"
	far4, far6   = "198.51.100.", "2001:db8:2::"
)

func addrs(net4, net6, host string) []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix(net4 + host + "/24"),
		netip.MustParsePrefix(net6 + host + "/64"),
	}
}

// NewPair makes a client and a server on the two ends of a veth pair.
func NewPair() (*Network, error) {
	return build(
		addrs(near4, near6, "1"), addrs(near4, near6, "2"),
		func(n *Network, client, server End) error {
			return Connect(client, server)
		},
	)
}

// NewBridged makes a client and a server on one link, with a bridge between them in Middle. The
// bridge has no address. See Host.FilterBridged for the ip hooks.
func NewBridged() (*Network, error) {
	return build(
		addrs(near4, near6, "1"), addrs(near4, near6, "2"),
		func(n *Network, client, server End) error {
			return inOrder(n.addMiddle, func() error { return n.Middle.AddBridge(Br0) },
				func() error { return Connect(client, End{Host: n.Middle, Name: ToClient, Bridge: Br0}) },
				func() error { return Connect(server, End{Host: n.Middle, Name: ToServer, Bridge: Br0}) },
				func() error { return introduce(client, server) })
		},
	)
}

// NewRouted makes a client and a server on two links, with a router between them in Middle.
func NewRouted() (*Network, error) {
	return build(
		addrs(near4, near6, "1"), addrs(far4, far6, "1"),
		func(n *Network, client, server End) error {
			return inOrder(n.addMiddle, func() error { return n.Middle.Forward() },
				func() error { return route(client, server, n.routerEnds(ToClient, ToServer)) })
		},
	)
}

// routerEnds are interfaces of the router to a client and to its server.
func (n *Network) routerEnds(toClient, toServer string) [2]End {
	return [2]End{
		{Host: n.Middle, Name: toClient, Addrs: addrs(near4, near6, "2")},
		{Host: n.Middle, Name: toServer, Addrs: addrs(far4, far6, "2")},
	}
}

// route connects client and server to a router, and makes it the only one that they know.
func route(client, server End, router [2]End) error {
	for i, e := range []End{client, server} {
		if err := Connect(e, router[i]); err != nil {
			return err
		}
		if err := routeAll(e.Host, router[i]); err != nil {
			return err
		}
	}
	return nil
}

// Close closes all hosts.
func (n *Network) Close() error {
	var errs []error
	for _, h := range []*Host{n.Client, n.Middle, n.Server} {
		if h != nil {
			errs = append(errs, h.Close())
		}
	}
	return errors.Join(errs...)
}

// build makes client and server and has wire connect them. If that fails it removes everything.
func build(
	client, server []netip.Prefix, wire func(n *Network, client, server End) error,
) (*Network, error) {
	n := &Network{
		Client4: client[0].Addr(), Client6: client[1].Addr(),
		Server4: server[0].Addr(), Server6: server[1].Addr(),
	}
	err := inOrder(
		func() (err error) { n.Client, err = New(); return err },
		func() (err error) { n.Server, err = New(); return err },
		func() error {
			return wire(
				n, End{Host: n.Client, Name: Eth, Addrs: client}, End{Host: n.Server, Name: Eth, Addrs: server},
			)
		},
	)
	if err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

func (n *Network) addMiddle() (err error) {
	n.Middle, err = New()
	return err
}

// routeAll makes an end of the host's link its default router, for IPv4 and IPv6.
func routeAll(h *Host, via End) error {
	for _, p := range via.Addrs {
		if err := h.AddRoute(netip.PrefixFrom(zero(p.Addr()), 0), p.Addr()); err != nil {
			return err
		}
	}
	return nil
}

func zero(a netip.Addr) netip.Addr {
	if a.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// inOrder runs steps until one fails.
func inOrder(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}
