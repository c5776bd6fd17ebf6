// SPDX-License-Identifier: GPL-2.0-or-later

//go:build linux

// Package confine runs a command in a network namespace of its own, so that all packets
// there are those of the command and its children.
package confine

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"

	"github.com/chifflier/nfqueue-go/internal/netlab"
)

// Place is a network namespace. It lasts as long as somebody is in it.
type Place struct {
	Host *netlab.Host
	// Outside are the addresses of the namespace of the caller on the link with it, Inside those at
	// the other end. Without a link there are none.
	Outside, Inside []netip.Prefix
}

// New makes a namespace that has lo only, or, with link, also a veth pair to the namespace of the
// caller.
func New(link bool) (*Place, error) {
	host, err := netlab.New()
	if err != nil {
		return nil, err
	}
	p := &Place{Host: host}
	if link {
		if err := p.connect(); err != nil {
			return nil, errors.Join(err, host.Close())
		}
	}
	return p, nil
}

// Close gives the namespace up.
func (p *Place) Close() error { return p.Host.Close() }

// connect makes the link and a default route over it.
func (p *Place) connect() error {
	outside, err := netlab.Current()
	if err != nil {
		return err
	}
	defer func() { _ = outside.Close() }()
	p4, err := unusedPrefix(outside, prefix4)
	if err != nil {
		return err
	}
	p6, err := unusedPrefix(outside, prefix6)
	if err != nil {
		return err
	}
	for _, p1 := range []netip.Prefix{p4, p6} {
		first := p1.Addr().Next()
		p.Outside = append(p.Outside, netip.PrefixFrom(first, p1.Bits()))
		p.Inside = append(p.Inside, netip.PrefixFrom(first.Next(), p1.Bits()))
	}
	err = netlab.Connect(
		netlab.End{Host: outside, Name: "nfq" + strconv.Itoa(os.Getpid()), Addrs: p.Outside},
		netlab.End{Host: p.Host, Name: netlab.Eth, Addrs: p.Inside},
	)
	if err != nil {
		return err
	}
	return errors.Join(p.Host.AddRoute(netip.MustParsePrefix("0.0.0.0/0"), p.Outside[0].Addr()),
		p.Host.AddRoute(netip.MustParsePrefix("::/0"), p.Outside[1].Addr()))
}

// unusedPrefix returns one to which the host has no route.
func unusedPrefix(host *netlab.Host, random func() netip.Prefix) (netip.Prefix, error) {
	const tries = 100
	for range tries {
		p := random()
		if used, err := host.Routed(p); err != nil || !used {
			return p, err
		}
	}
	return netip.Prefix{}, fmt.Errorf(
		"found no private addresses to which there is no route, such as %v",
		random(),
	)
}

// prefix4 is one of two addresses that are private (RFC 1918).
func prefix4() netip.Prefix {
	b := [4]byte{10}
	rand.Read(b[1:])
	return netip.PrefixFrom(netip.AddrFrom4(b), 30).Masked()
}

// prefix6 is one of addresses that are unique and local (RFC 4193).
func prefix6() netip.Prefix {
	b := [16]byte{0xfd}
	rand.Read(b[1:6])
	return netip.PrefixFrom(netip.AddrFrom16(b), 64)
}
