// SPDX-License-Identifier: GPL-2.0-or-later

package demo

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
)

// path is the way between client and server in one address family, and the traffic on it.
type path struct {
	network        *netlab.Network
	family         nfqueue.Family
	client, server netip.Addr
	flows          flows
	intact         bool // no payload is replaced

	markerClient, markerServer *net.UDPConn
	markers                    int

	inboxes []inbox
	closers []func()
}

func newPath(n *netlab.Network, family nfqueue.Family, all flows, intact bool) *path {
	p := &path{
		network: n,
		family:  family,
		flows:   all,
		intact:  intact,
		client:  n.Client4,
		server:  n.Server4,
	}
	if family == nfqueue.FamilyIPv6 {
		p.client, p.server = n.Client6, n.Server6
	}
	return p
}

func (p *path) flow(k kind) *flow { return p.flows[key{p.family, k}] }

// replaced returns what must arrive in the place of a payload that the handler replaces.
func replaced[T any](p *path, sent, replacement T) T {
	if p.intact {
		return sent
	}
	return replacement
}

// exchange sends all traffic. It returns when every packet has a verdict.
func (p *path) exchange(ctx context.Context) error {
	for _, step := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"marker", p.openMarkers},
		{"icmp", p.echo},
		{"udp", p.udp},
		{"dns", p.dns},
		{"tcp", p.tcp},
	} {
		if err := step.run(ctx); err != nil {
			return fmt.Errorf("%s over %v: %w", step.name, p.family, err)
		}
	}
	return nil
}

// openMarkers makes the sockets of fence.
func (p *path) openMarkers(ctx context.Context) (err error) {
	if p.markerServer, err = p.listenUDP(ctx, markerPort, p.flow(markerThere)); err != nil {
		return err
	}
	p.markerClient, err = p.dialUDP(ctx, markerPort, p.flow(markerBack))
	return err
}

// fence returns when everything sent before has arrived or was dropped. A marker follows it across
// the router, where packets keep their order, and returns behind the server's answers.
func (p *path) fence() error {
	p.markers++
	marker := fmt.Appendf(nil, "marker %d", p.markers)
	p.flow(markerThere).send(marker, marker)
	if _, err := p.markerClient.Write(marker); err != nil {
		return err
	}
	from, err := receive(p.markerServer, p.flow(markerThere))
	if err != nil {
		return fmt.Errorf("the marker was lost on its way to the server: %w", err)
	}
	p.flow(markerBack).send(marker, marker)
	if _, err := p.markerServer.WriteToUDPAddrPort(marker, from); err != nil {
		return err
	}
	if _, err := receive(p.markerClient, p.flow(markerBack)); err != nil {
		return fmt.Errorf("the marker was lost on its way back: %w", err)
	}
	return nil
}

// receive waits for a datagram of a flow and returns where it came from.
func receive(c *net.UDPConn, f *flow) (netip.AddrPort, error) {
	b := make([]byte, maxDatagram)
	n, from, err := c.ReadFromUDPAddrPort(b)
	if err != nil {
		return from, err
	}
	f.got = append(f.got, b[:n])
	return from, nil
}

// listenUDP opens a socket on a port of the server. Datagrams unread at the end belong to flow f.
func (p *path) listenUDP(ctx context.Context, port uint16, f *flow) (*net.UDPConn, error) {
	c, err := open(ctx, p, p.network.Server, func() (*net.UDPConn, error) {
		return net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(p.server, port)))
	})
	if err == nil {
		p.inboxes = append(p.inboxes, inbox{conn: c, flow: f})
	}
	return c, err
}

// dialUDP opens a socket of the client for a port of the server, as listenUDP does.
func (p *path) dialUDP(ctx context.Context, port uint16, f *flow) (*net.UDPConn, error) {
	c, err := open(ctx, p, p.network.Client, func() (*net.UDPConn, error) {
		return net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(p.server, port)))
	})
	if err == nil && f != nil {
		p.inboxes = append(p.inboxes, inbox{conn: c, flow: f})
	}
	return c, err
}

// socket is what all sockets of package net have in common.
type socket interface {
	io.Closer
	SetDeadline(time.Time) error
}

// open makes a socket in a host. When ctx ends, all waits on it end.
func open[S socket](
	ctx context.Context,
	p *path,
	h *netlab.Host,
	dial func() (S, error),
) (S, error) {
	s, err := netlab.In(h, dial)
	if err == nil {
		p.adopt(ctx, s)
	}
	return s, err
}

// adopt makes a socket one that open made.
func (p *path) adopt(ctx context.Context, s socket) {
	stop := context.AfterFunc(ctx, func() { _ = s.SetDeadline(time.Unix(1, 0)) })
	p.closers = append(p.closers, func() {
		stop()
		_ = s.Close()
	})
}

// close closes all sockets.
func (p *path) close() {
	for _, c := range p.closers {
		c()
	}
}
