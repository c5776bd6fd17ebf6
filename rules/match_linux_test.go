// SPDX-License-Identifier: GPL-2.0-or-later

package rules_test

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
)

// flow is one packet from the client to the server of a routed network.
type flow struct {
	protocol     string // udp, tcp or icmp
	v6           bool
	sport, dport uint16
	mark         uint32
	typ          byte // of an ICMP message
}

// What is sent through each rule.
var (
	udp          = flow{protocol: "udp", sport: 1000, dport: 2000}
	other        = flow{protocol: "udp", sport: 2000, dport: 1000}
	third        = flow{protocol: "udp", sport: 2001, dport: 2002}
	marked       = flow{protocol: "udp", sport: 1001, dport: 2001, mark: 0xa5}
	udp6         = flow{protocol: "udp", v6: true, sport: 1000, dport: 2000}
	tcp          = flow{protocol: "tcp", sport: 1000, dport: 2000}
	tcp6         = flow{protocol: "tcp", v6: true, sport: 1000, dport: 2000}
	echo         = flow{protocol: "icmp", typ: 8}
	stampRequest = flow{protocol: "icmp", typ: 13}
	echo6        = flow{protocol: "icmp", v6: true, typ: 128}
	reply6       = flow{protocol: "icmp", v6: true, typ: 129}
	v4Flows      = []flow{udp, other, third, marked, tcp, echo, stampRequest}
	v6Flows      = []flow{udp6, tcp6, echo6, reply6}
	allFlows     = append(v4Flows[:len(v4Flows):len(v4Flows)], v6Flows...)
)

// matchCase is a rule, the host that has it, and what matches.
type matchCase struct {
	host *netlab.Host
	rule string
	want []flow
}

func matchCases(n *netlab.Network) []matchCase {
	client, router, server := n.Client, n.Middle, n.Server
	return []matchCase{
		{client, "out", allFlows},
		{client, "postrouting", allFlows},
		{router, "prerouting", allFlows},
		{router, "forward", allFlows},
		{router, "postrouting", allFlows},
		{server, "prerouting", allFlows},
		{server, "in", allFlows},
		{router, "forward ip", v4Flows},
		{router, "forward ip6", v6Flows},
		{router, "forward saddr 0.0.0.0/0", v4Flows},
		{router, "forward daddr ::/0", v6Flows},
		{router, "forward udp", []flow{udp, other, third, marked, udp6}},
		{router, "forward tcp", []flow{tcp, tcp6}},
		{router, "forward proto 17 ip6", []flow{udp6}},
		{router, "forward icmp", []flow{echo, stampRequest}},
		{router, "forward icmpv6", []flow{echo6, reply6}},
		{router, "forward icmp type echo-request", []flow{echo}},
		{router, "forward icmp type 13", []flow{stampRequest}},
		{router, "forward icmpv6 type echo-reply", []flow{reply6}},
		{router, "forward ip6 icmpv6 type echo-request", []flow{echo6}},
		{router, "forward udp sport 1000", []flow{udp, udp6}},
		{router, "forward udp sport 1000-1001", []flow{udp, marked, udp6}},
		{router, "forward udp dport 2000", []flow{udp, udp6}},
		{router, "forward tcp dport 2000", []flow{tcp, tcp6}},
		{router, "forward udp dport 2001-2002", []flow{third, marked}},
		{router, "forward udp dport 1-1000", []flow{other}},
		{router, "forward udp dport 2002-65535", []flow{third}},
		{router, "forward udp sport 1000 dport 2000 ip", []flow{udp}},
		{router, "forward udp port 1000", []flow{udp, other, udp6}},
		{router, "forward udp port 2001-2002", []flow{third, marked}},
		{router, "forward iif client0", allFlows},
		{router, "forward iif server0", nil},
		{router, "forward oif server0", allFlows},
		{router, "forward oif client0", nil},
		{router, "forward iif client0 oif server0 tcp", []flow{tcp, tcp6}},
		{router, "postrouting iif client0 tcp", []flow{tcp, tcp6}},
		{server, "in iif eth0 udp dport 1000", []flow{other}},
		{client, "out oif eth0 udp dport 1000", []flow{other}},
		{client, "out oif lo", nil},
		{router, "forward saddr " + n.Client4.String(), v4Flows},
		{router, "forward daddr " + n.Client4.String(), nil},
		{router, "forward daddr " + n.Server4.String(), v4Flows},
		{router, "forward saddr " + n.Client6.String() + " daddr " + n.Server6.String(), v6Flows},
		{router, "forward saddr " + n.Server6.String(), nil},
		{router, "forward saddr 192.0.2.0/24", v4Flows},
		{router, "forward saddr 192.0.0.0/13", v4Flows},
		{router, "forward saddr 192.8.0.0/13", nil},
		{router, "forward ip daddr 198.51.100.0/31", v4Flows},
		{router, "forward daddr 2001:db8:2::/64 udp", []flow{udp6}},
		{router, "forward ip6 daddr 2001:db8:2::/47", v6Flows},
		{router, "forward daddr 2001:db8:4::/47", nil},
		{client, "out uid 0 udp ip", []flow{udp, other, third, marked}},
		{client, "postrouting gid 0 ip6 udp", []flow{udp6}},
		{client, "out uid 12345", nil},
		{client, "out mark 0xa5", []flow{marked}},
		{client, "out mark 165", []flow{marked}},
		{client, "out mark 0x5/0xf", []flow{marked}},
		{client, "out mark 0x4/0xf", nil},
		{client, "out mark 0 ip udp", []flow{udp, other, third}},
		{client, "out mark 0/0x5a", allFlows},
		{router, "forward ct new udp dport 2000", []flow{udp, udp6}},
		{router, "forward ct new,established udp dport 2000", []flow{udp, udp6}},
		{router, "forward ct established ip6 udp", nil},
		{router, "forward ct untracked", nil},
		{router, "prerouting udp ip priority -300 dport 2000", []flow{udp}},
		{router, "forward udp sport 1000 queue 65535 nobypass", []flow{udp, udp6}},
		{router, "forward udp dport 2000,2002", []flow{udp, third, udp6}},
		{router, "forward udp dport 1,3,5,7,9,11,13,15,17-18,20-21,23,25,27,29,31,33,2000,2002",
			[]flow{udp, third, udp6}},
		{router, "forward ip udp not dport 1,3,5,7,9,11,13,15,17-18,20-21,23,25,27,29,31,2000,2002",
			[]flow{other, marked}},
		{router, "forward udp dport 1,1000-2000,2002-65535", []flow{udp, other, third, udp6}},
		{client, "out tcp dport 22,80,2000", []flow{tcp, tcp6}},
		{server, "in udp sport 1000-1001,2001 dport 2000,2002", []flow{udp, third, udp6}},
		{router, "forward ip udp port 1000,2002", []flow{udp, other, third}},
		{server, "in udp not dport 2000", []flow{other, third, marked}},
		{client, "out udp not dport 1000,2001", []flow{udp, third, udp6}},
		{router, "forward udp not sport 1000-2000", []flow{third}},
		{router, "forward ip6 udp not sport 1,2-999", []flow{udp6}},
		{router, "forward udp not port 1000", []flow{third, marked}},
		{router, "forward ip udp not port 1-1000,2002", []flow{marked}},
		{router, "forward udp sport 1000-2001 not dport 2000,2002", []flow{other, marked}},
		{router, "forward udp not sport 1000 not dport 2001", []flow{other, third}},
		{client, "out not udp", []flow{tcp, tcp6, echo, stampRequest, echo6, reply6}},
		{router, "forward not icmp ip", []flow{udp, other, third, marked, tcp}},
		{server, "in not proto 58 ip6", []flow{udp6, tcp6}},
		{server, "in icmp not type echo-request", []flow{stampRequest}},
		{router, "forward icmpv6 not type 128", []flow{reply6}},
		{router, "forward not iif client0", nil},
		{router, "forward not oif client0 tcp", []flow{tcp, tcp6}},
		{server, "in not iif lo tcp ip", []flow{tcp}},
		{client, "out not oif lo tcp ip6", []flow{tcp6}},
		{router, "forward saddr 10.0.0.0/8,192.0.2.0/24", v4Flows},
		{router, "forward daddr 10.0.0.0/8,192.168.0.0/16", nil},
		{client, "out daddr 192.0.2.1,198.51.100.0/24 udp", []flow{udp, other, third, marked}},
		{server, "in saddr 2001:db8::/64,2001:db8:1::/64 udp", []flow{udp6}},
		{router, "forward not saddr 10.0.0.0/8", v4Flows},
		{router, "forward not saddr 192.0.2.0/24", nil},
		{router, "forward not daddr 10.0.0.0/8,255.0.0.0/8 tcp", []flow{tcp}},
		{router, "forward saddr 10.0.0.0/8,192.0.2.0/24 not daddr 192.0.2.0/24 tcp", []flow{tcp}},
		{router, "forward not saddr 10.0.0.0/8 daddr 192.0.2.0/24,198.51.100.1 tcp", []flow{tcp}},
		{router, "forward not daddr 10.0.0.0/8,198.51.100.0/24", nil},
		{server, "in not saddr 2001:db8:7::/64,ff00::/8 tcp", []flow{tcp6}},
		{client, "out not uid 12345 tcp ip", []flow{tcp}},
		{client, "out not uid 0", nil},
		{client, "postrouting not gid 5 udp ip6", []flow{udp6}},
		{client, "out not mark 0 ip udp", []flow{marked}},
		{client, "out not mark 0x5/0xf udp ip", []flow{udp, other, third}},
		{router, "forward not ct established ip udp", []flow{udp, other, third, marked}},
		{router, "forward not ct new,untracked udp", nil},
		{server, "in ctmark 0 udp ip6", []flow{udp6}},
		{server, "in not ctmark 1 udp ip6", []flow{udp6}},
		{server, "in not ctmark 0 udp ip6", nil},
		{router, "forward udp not dport 2000,2001 packets 9 offload", []flow{other, third}},
	}
}

// TestMatches sends many packets through each rule. The receiver sees which of them
// were queued: those that want names, and no others.
func TestMatches(t *testing.T) {
	n := labtest.Routed(t)
	for _, c := range matchCases(n) {
		t.Run(c.rule, func(t *testing.T) {
			rule := parse(t, c.rule)
			labtest.Install(t, c.host, c.rule)
			rewrite(t, c.host, rule.Queue)
			for _, f := range allFlows {
				want := plain
				for _, w := range c.want {
					if w == f {
						want = queued
					}
				}
				if got := f.send(t, n); !bytes.Equal(got, want) {
					t.Errorf("%+v: received %q, want %q", f, got, want)
				}
			}
		})
	}
}

func (f flow) addresses(n *netlab.Network) (from, to netip.Addr) {
	if f.v6 {
		return n.Client6, n.Server6
	}
	return n.Client4, n.Server4
}

// send sends plain from the client and returns what the server received.
func (f flow) send(t *testing.T, n *netlab.Network) []byte {
	t.Helper()
	from, to := f.addresses(n)
	switch f.protocol {
	case "udp":
		server := listenUDP(t, n.Server, netip.AddrPortFrom(to, f.dport))
		defer server.Close()
		client := listenUDP(t, n.Client, netip.AddrPortFrom(from, f.sport))
		defer client.Close()
		setMark(t, client, f.mark)
		sendUDP(t, client, server, plain)
		return receive(t, server)
	case "tcp":
		return f.sendTCP(t, n, netip.AddrPortFrom(from, f.sport), netip.AddrPortFrom(to, f.dport))
	default:
		return f.sendICMP(t, n, from, to)
	}
}

func (f flow) sendTCP(t *testing.T, n *netlab.Network, from, to netip.AddrPort) []byte {
	t.Helper()
	l, err := netlab.In(n.Server, func() (*net.TCPListener, error) {
		return net.ListenTCP("tcp", net.TCPAddrFromAddrPort(to))
	})
	labtest.Must(t, err)
	defer l.Close()
	labtest.Must(t, l.SetDeadline(time.Now().Add(patience)))
	c, err := netlab.In(n.Client, func() (*net.TCPConn, error) {
		return net.DialTCP("tcp", net.TCPAddrFromAddrPort(from), net.TCPAddrFromAddrPort(to))
	})
	labtest.Must(t, err)
	defer c.Close()
	s, err := l.AcceptTCP()
	labtest.Must(t, err)
	defer s.Close()
	labtest.Must(t, c.SetLinger(0)) // a reset leaves the addresses free at once
	labtest.Must(t, s.SetLinger(0))
	labtest.Must(t, s.SetDeadline(time.Now().Add(patience)))
	if _, err := c.Write(plain); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(plain))
	if _, err := s.Read(got); err != nil {
		t.Fatal(err)
	}
	return got
}

// sendICMP sends a message. Only what the server has not sent itself is looked at.
func (f flow) sendICMP(t *testing.T, n *netlab.Network, from, to netip.Addr) []byte {
	t.Helper()
	network := "ip4:icmp"
	if f.v6 {
		network = "ip6:ipv6-icmp"
	}
	listen := func(h *netlab.Host, at netip.Addr) net.PacketConn {
		c, err := netlab.In(h, func() (net.PacketConn, error) {
			return net.ListenPacket(network, at.String())
		})
		labtest.Must(t, err)
		labtest.Must(t, c.SetDeadline(time.Now().Add(patience)))
		return c
	}
	server, client := listen(n.Server, to), listen(n.Client, from)
	defer server.Close()
	defer client.Close()
	msg := append([]byte{f.typ, 0, 0, 0, 0, 1, 0, 1}, plain...)
	if !f.v6 {
		binary.BigEndian.PutUint16(msg[2:], internetChecksum(msg))
	}
	if _, err := client.WriteTo(msg, &net.IPAddr{IP: to.AsSlice()}); err != nil {
		t.Fatal(err)
	}
	for {
		if m := receive(t, server); len(m) >= len(msg) && m[0] == f.typ {
			return m[8:]
		}
	}
}

func internetChecksum(b []byte) uint16 {
	var sum uint32
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	sum = sum>>16 + sum&0xffff
	return ^uint16(sum>>16 + sum)
}

// TestEstablished: the state follows a flow.
func TestEstablished(t *testing.T) {
	n := labtest.Pair(t)
	labtest.Install(t, n.Server, "in udp ct established")
	rewrite(t, n.Server, 0)
	server := listenUDP(t, n.Server, netip.AddrPortFrom(n.Server4, 2000))
	client := listenUDP(t, n.Client, netip.AddrPortFrom(n.Client4, 1000))
	sendUDP(t, client, server, plain)
	wantReceived(t, server, plain)
	sendUDP(t, server, client, plain)
	wantReceived(t, client, plain)
	sendUDP(t, client, server, plain)
	wantReceived(t, server, queued)
}

// TestSeveralQueues: every queue of a range gets packets, by the addresses or, with
// fanout, by the CPU.
func TestSeveralQueues(t *testing.T) {
	for _, rule := range []string{
		"out udp queue 3-5 nobypass", "out udp queue 3-5 fanout nobypass",
	} {
		t.Run(rule, func(t *testing.T) {
			h := labtest.Host(t)
			labtest.Install(t, h, rule)
			queues := map[uint16]*atomic.Int64{}
			for n := uint16(3); n <= 5; n++ {
				queues[n] = rewrite(t, h, n)
			}
			const addresses = 40
			for i := range byte(addresses) {
				at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 1, i}), 2000)
				l := listenUDP(t, h, at)
				sendUDP(t, l, l, plain)
				wantReceived(t, l, queued)
			}
			var received int64
			for n, q := range queues {
				got := q.Load()
				received += got
				if got == 0 && !parse(t, rule).Fanout {
					t.Errorf("queue %d got nothing", n)
				}
			}
			if received != addresses {
				t.Errorf("%d packets were queued, want %d", received, addresses)
			}
		})
	}
}

// TestOrder: the first rule of a chain that matches queues, also before a more general
// one.
func TestOrder(t *testing.T) {
	h := labtest.Host(t)
	labtest.Install(t, h, "in udp dport 2000 queue 1 nobypass", "in ip udp queue 2 nobypass")
	one, two := watch(t, h, 1), watch(t, h, 2)
	for _, port := range []uint16{2000, 2001, 2002} {
		l := listenUDP(t, h, netip.AddrPortFrom(loopback, port))
		sendUDP(t, l, l, plain)
		wantReceived(t, l, plain)
	}
	if a, b := one.Load(), two.Load(); a != 1 || b != 2 {
		t.Errorf("%d and %d packets in the queues, want 1 and 2", a, b)
	}
}

var loopback = netip.MustParseAddr("127.0.0.1")
