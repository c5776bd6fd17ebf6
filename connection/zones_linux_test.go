// SPDX-License-Identifier: GPL-2.0-or-later

package connection_test

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/connection"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/rules"
	"golang.org/x/sys/unix"
)

// zone is one of two networks with the same addresses. It has a queue and a Tracker of its own.
type zone struct {
	*netlab.Network
	*connection.Tracker
	seen               atomic.Int64   // packets that were queued
	accepted, rejected []*netlab.Rule // count packets by the mark of their connection
}

// newZone has a router give all connections of a network with port 443 one answer.
func newZone(
	t *testing.T, n *netlab.Network, i int, marks *netlab.Chain, a connection.Answer,
) *zone {
	t.Helper()
	z := &zone{Network: n, Tracker: connection.New(
		connection.Config{Hold: true, Offload: rules.DefaultOffload},
		connection.HandlerFunc(func(c *connection.Conn) connection.Answer {
			if c.Flow().Protocol == nfqueue.TCP && len(c.Bytes(connection.Original)) == 0 {
				return connection.More
			}
			return a
		}))}
	serve(t, n.Middle, nfqueue.Config{Queue: uint16(i + 1)}, nfqueue.HandlerFunc(
		func(p *nfqueue.Packet) nfqueue.Verdict {
			z.seen.Add(1)
			return z.ServePacket(p)
		}))
	toClient, toServer := netlab.ZoneIfaces(i)
	for _, name := range []string{toClient, toServer} {
		count := func(mark uint32) *netlab.Rule {
			return labtest.Rule(t, marks, netlab.InDevName(name), netlab.CTMark(mark), netlab.Counter())
		}
		z.accepted = append(z.accepted, count(0x10000000))
		z.rejected = append(z.rejected, count(0x30000000))
	}
	return z
}

// counted returns how many packets rules have counted.
func counted(t *testing.T, rules []*netlab.Rule) (sum uint64) {
	t.Helper()
	for _, r := range rules {
		packets, _, err := r.Count()
		labtest.Must(t, err)
		sum += packets
	}
	return sum
}

// TestZones: of connections with the same addresses and ports, at the same time, each is decided by
// the Tracker of its network. The kernel carries on with each as decided, and undecides only the
// one whose ports are used again.
func TestZones(t *testing.T) {
	for _, form := range [][]string{
		{"forward mark %d/0xff PROTOCOL port 443 queue %[1]d offload"},
		{"forward iif %[2]s PROTOCOL port 443 queue %[1]d offload",
			"forward iif %[3]s PROTOCOL port 443 queue %[1]d offload"},
	} {
		t.Run(strings.Fields(form[0])[1], func(t *testing.T) {
			networks := labtest.Zones(t)
			router := networks[0].Middle
			labtest.Must(t, router.SetSysctl("ipv4/conf/all/rp_filter", "1"))
			var all []string
			for i := range networks {
				toClient, toServer := netlab.ZoneIfaces(i)
				for _, f := range form {
					for _, protocol := range []string{"tcp", "udp"} {
						f := strings.Replace(f, "PROTOCOL", protocol, 1)
						all = append(all, fmt.Sprintf(f, i+1, toClient, toServer))
					}
				}
			}
			labtest.Install(t, router, all...)
			marks := labtest.Chain(t, router, netlab.Inet, netlab.Prerouting, 0)
			good := newZone(t, networks[0], 0, marks, connection.Accept)
			bad := newZone(t, networks[1], 1, marks, connection.Reject)
			for _, addr := range []netip.Addr{good.Server4, good.Server6} {
				sameStreams(t, good, bad, netip.AddrPortFrom(addr, 443))
				sameDatagrams(t, good, bad, netip.AddrPortFrom(addr, 443))
			}
			if a, r := counted(t, good.accepted), counted(t, good.rejected); a == 0 || r != 0 {
				t.Errorf("the one network: %d packets of accepted connections, %d of rejected", a, r)
			}
			if a, r := counted(t, bad.accepted), counted(t, bad.rejected); a != 0 || r == 0 {
				t.Errorf("the other network: %d packets of accepted connections, %d of rejected", a, r)
			}
			if s := good.Stats(); s.Opened != 6 || s.Accepted != 6 {
				t.Errorf("the one network: %+v", s)
			}
			if s := bad.Stats(); s.Opened != 6 || s.Rejected != 6 {
				t.Errorf("the other network: %+v", s)
			}
		})
	}
}

// sameStreams makes TCP connections with the same ports in both networks, each twice.
func sameStreams(t *testing.T, good, bad *zone, at netip.AddrPort) {
	t.Helper()
	const port = 5000
	l, m := listen(t, good.Network, at), listen(t, bad.Network, at)
	accepts := func(c, s *net.TCPConn) {
		t.Helper()
		exchange(t, c, s, "anything")
		before := good.seen.Load()
		for range 5 {
			exchange(t, c, s, "more")
		}
		if got := good.seen.Load(); got != before {
			t.Errorf("%v: %d packets of an accepted connection were queued", at, got-before)
		}
	}
	rejects := func(c, s *net.TCPConn) {
		t.Helper()
		labtest.Must(t, say(c, "anything"))
		wantRefused(t, c, unix.ECONNRESET)
		before := bad.seen.Load()
		labtest.Must(t, say(s, "anything"))
		wantRefused(t, s, unix.ECONNRESET) // and nothing before
		if got := bad.seen.Load(); got != before {
			t.Errorf("%v: %d packets of a rejected connection were queued", at, got-before)
		}
		reset(t, c, s)
	}
	c, s := connect(t, good.Network, port, l)
	d, u := connect(t, bad.Network, port, m)
	accepts(c, s)
	rejects(d, u)
	before := good.seen.Load()
	exchange(t, c, s, "more")

	d, u = connect(t, bad.Network, port, m)
	exchange(t, c, s, "more")
	if got := good.seen.Load(); got != before {
		t.Errorf("%v: %d packets were queued because the other network uses the ports again", at,
			got-before)
	}
	rejects(d, u)
	reset(t, c, s)
	c, s = connect(t, good.Network, port, l)
	accepts(c, s)
	if got := good.seen.Load(); got == before {
		t.Errorf("%v: a new connection was not queued", at)
	}
	reset(t, c, s)
}

// sameDatagrams has UDP sockets with the same ports in both networks.
func sameDatagrams(t *testing.T, good, bad *zone, at netip.AddrPort) {
	t.Helper()
	open := func(z *zone) (c, s *net.UDPConn) {
		from := z.Client4
		if at.Addr().Is6() {
			from = z.Client6
		}
		client := net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 5000))
		server := net.UDPAddrFromAddrPort(at)
		dial := func(h *netlab.Host, from, to *net.UDPAddr) *net.UDPConn {
			c, err := netlab.In(h, func() (*net.UDPConn, error) { return net.DialUDP("udp", from, to) })
			labtest.Must(t, err)
			t.Cleanup(func() { c.Close() })
			return c
		}
		return dial(z.Client, client, server), dial(z.Server, server, client)
	}
	c, s := open(good)
	d, _ := open(bad)
	exchange(t, c, s, "anything")
	for range 2 {
		labtest.Must(t, say(d, "anything"))
		wantRefused(t, d, unix.ECONNREFUSED)
		exchange(t, c, s, "more")
	}
}
