// SPDX-License-Identifier: GPL-2.0-or-later

package queue_test

import (
	"net"
	"net/netip"
	"testing"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
)

// seen is what a handler records of a packet.
type seen struct {
	family        nfqueue.Family
	hook          nfqueue.Hook
	etherType     uint16
	in, out       string
	inDev, outDev int
	hwaddr        string
	text          string
	full          int
	truncated     bool
}

func look(p *nfqueue.Packet) seen {
	return seen{p.Family(), p.Hook(), p.EtherType(), p.InDevName(), p.OutDevName(), p.InDev(),
		p.OutDev(),
		p.HardwareAddr().String(), queuelab.Text(p), p.FullLen(), p.Truncated()}
}

// TestHooks queues a packet at every hook of its path, and checks the attributes there and that the
// packet goes on.
func TestHooks(t *testing.T) {
	for _, f := range queuelab.Families {
		t.Run(f.Name, func(t *testing.T) {
			n := labtest.Routed(t)
			l := queuelab.ListenUDP(t, n.Server, netip.AddrPortFrom(f.Server(n), queuelab.Port))
			c := queuelab.DialUDP(t, n.Client, netip.AddrPortFrom(f.Server(n), queuelab.Port))
			for _, h := range []struct {
				host    *netlab.Host
				hook    netlab.Hook
				want    nfqueue.Hook
				in, out string
			}{
				{n.Client, netlab.Output, nfqueue.HookOutput, "", netlab.Eth},
				{n.Client, netlab.Postrouting, nfqueue.HookPostrouting, "", netlab.Eth},
				{n.Middle, netlab.Prerouting, nfqueue.HookPrerouting, netlab.ToClient, ""},
				{n.Middle, netlab.Forward, nfqueue.HookForward, netlab.ToClient, netlab.ToServer},
				{n.Middle, netlab.Postrouting, nfqueue.HookPostrouting, netlab.ToClient, netlab.ToServer},
				{n.Server, netlab.Prerouting, nfqueue.HookPrerouting, netlab.Eth, ""},
				{n.Server, netlab.Input, nfqueue.HookInput, netlab.Eth, ""},
			} {
				t.Run(h.want.String(), func(t *testing.T) {
					chain := labtest.Chain(t, h.host, f.Rules, h.hook, 0)
					rule := queuelab.QueueUDP(t, chain, netlab.Queue{Num: 7})
					got := make(chan seen, 1)
					queuelab.Serve(t, h.host, nfqueue.Config{Queue: 7}, func(p *nfqueue.Packet) nfqueue.Verdict {
						got <- look(p)
						return nfqueue.Accept
					})
					queuelab.Send(t, c, "to "+h.want.String())
					queuelab.Receive(t, l, "to "+h.want.String())
					s := queuelab.WaitFor(t, got)
					want := seen{family: f.Family, hook: h.want, in: h.in, out: h.out, text: "to " +
						h.want.String(),
						inDev: index(t, h.host, h.in), outDev: index(t, h.host, h.out)}
					want.full = len(want.text) + 28
					want.etherType = 0x0800
					if f.Family == nfqueue.FamilyIPv6 {
						want.full += 20
						want.etherType = 0x86dd
					}
					if h.in != "" {
						want.hwaddr = senderAddr(t, n, h.in).String()
					}
					if s != want {
						t.Errorf("seen\n%+v, want\n%+v", s, want)
					}
					labtest.Must(t, rule.Delete())
				})
			}
		})
	}
}

// index returns the index of an interface of a host, 0 for no name.
func index(t *testing.T, h *netlab.Host, name string) int {
	t.Helper()
	if name == "" {
		return 0
	}
	return iface(t, h, name).Index
}

func iface(t *testing.T, h *netlab.Host, name string) *net.Interface {
	t.Helper()
	i, err := netlab.In(h, func() (*net.Interface, error) { return net.InterfaceByName(name) })
	labtest.Must(t, err)
	return i
}

// senderAddr returns the link-layer address of the other end of the input interface of a packet to
// the server.
func senderAddr(t *testing.T, n *netlab.Network, in string) net.HardwareAddr {
	t.Helper()
	if in == netlab.ToClient {
		return iface(t, n.Client, netlab.Eth).HardwareAddr
	}
	return iface(t, n.Middle, netlab.ToServer).HardwareAddr
}

// TestBridgedDevices queues a bridged packet at the ip hooks. There the devices are the bridge, and
// the physical devices are its ports.
func TestBridgedDevices(t *testing.T) {
	n := labtest.Bridged(t)
	labtest.Must(t, n.Middle.FilterBridged())
	for _, f := range queuelab.Families {
		t.Run(f.Name, func(t *testing.T) {
			chain := labtest.Chain(t, n.Middle, f.Rules, netlab.Forward, 0)
			queuelab.QueueUDP(t, chain, netlab.Queue{Num: 7})
			type names struct{ in, out, physIn, physOut string }
			got := make(chan names, 1)
			indexes := make(chan [2]int, 1)
			queuelab.Serve(t, n.Middle, nfqueue.Config{Queue: 7}, func(p *nfqueue.Packet) nfqueue.Verdict {
				got <- names{p.InDevName(), p.OutDevName(), p.PhysInDevName(), p.PhysOutDevName()}
				indexes <- [2]int{p.PhysInDev(), p.PhysOutDev()}
				return nfqueue.Accept
			})
			l := queuelab.ListenUDP(t, n.Server, netip.AddrPortFrom(f.Server(n), queuelab.Port))
			queuelab.Send(t, queuelab.DialUDP(t, n.Client, netip.AddrPortFrom(f.Server(n), queuelab.Port)),
				"bridged")
			queuelab.Receive(t, l, "bridged")
			if g, want := queuelab.WaitFor(t, got), (names{netlab.Br0, netlab.Br0, netlab.ToClient,
				netlab.ToServer}); g != want {
				t.Errorf("devices %+v, want %+v", g, want)
			}
			want := [2]int{index(t, n.Middle, netlab.ToClient), index(t, n.Middle, netlab.ToServer)}
			if g := queuelab.WaitFor(t, indexes); g != want {
				t.Errorf("physical devices %v, want %v", g, want)
			}
		})
	}
}
