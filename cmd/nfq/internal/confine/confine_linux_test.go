// SPDX-License-Identifier: GPL-2.0-or-later

package confine

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
)

func TestMain(m *testing.M) { labtest.Main(m) }

func place(t *testing.T, outside *netlab.Host, link bool) *Place {
	t.Helper()
	p, err := netlab.In(outside, func() (*Place, error) { return New(link) })
	labtest.Must(t, err)
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func TestLink(t *testing.T) {
	outside := labtest.Host(t)
	p := place(t, outside, true)
	if len(p.Inside) != 2 || len(p.Outside) != 2 {
		t.Fatalf("addresses %v, %v; want IPv4 and IPv6", p.Inside, p.Outside)
	}
	for i := range p.Inside {
		inside, there := p.Inside[i].Addr(), p.Outside[i].Addr()
		if !inside.IsPrivate() || !there.IsPrivate() || inside == there ||
			!p.Inside[i].Contains(there) {
			t.Errorf("addresses %v and %v", p.Inside[i], p.Outside[i])
		}
		server, err := netlab.In(outside, func() (*net.UDPConn, error) {
			return net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(there, 9)))
		})
		labtest.Must(t, err)
		client, err := netlab.In(p.Host, func() (net.Conn, error) {
			return net.Dial("udp", netip.AddrPortFrom(there, 9).String())
		})
		labtest.Must(t, err)
		if _, err := client.Write([]byte("hello")); err != nil {
			t.Error(err)
		}
		labtest.Must(t, server.SetDeadline(time.Now().Add(time.Minute)))
		b := make([]byte, 10)
		n, from, err := server.ReadFromUDPAddrPort(b)
		if err != nil || string(b[:n]) != "hello" || from.Addr().Unmap() != inside {
			t.Errorf("received %q from %v, %v; want it from %v", b[:n], from, err, inside)
		}
		_ = server.Close()
		_ = client.Close()
	}
	// The prefix is in use from now on.
	if used, err := outside.Routed(p.Inside[0].Masked()); err != nil || !used {
		t.Errorf("prefix of the link is used: %v, %v", used, err)
	}
	if used, err := outside.Routed(netip.MustParsePrefix("192.0.2.0/24")); err != nil || used {
		t.Errorf("another prefix is used: %v, %v", used, err)
	}
}

func TestNoLink(t *testing.T) {
	outside := labtest.Host(t)
	p := place(t, outside, false)
	for name, host := range map[string]*netlab.Host{"inside": p.Host, "outside": outside} {
		links, err := netlab.In(host, net.Interfaces)
		if err != nil || len(links) != 1 {
			t.Errorf("%s: links %v, %v; want lo alone", name, links, err)
		}
	}
}
