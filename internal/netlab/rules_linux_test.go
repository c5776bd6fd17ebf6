// SPDX-License-Identifier: GPL-2.0-or-later

package netlab_test

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
)

func wantCount(t *testing.T, r *netlab.Rule, want uint64) {
	t.Helper()
	got, _, err := r.Count()
	if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("%d packets counted, want %d", got, want)
	}
}

// udp is a sender, whose packets the rules are about, a second one, and a receiver of both.
type udp struct {
	host                *netlab.Host
	sender, other, sink *net.UDPConn
}

func newUDP(t *testing.T) udp {
	h := labtest.Host(t)
	return udp{h, listen(t, h, loopback4), listen(t, h, loopback4), listen(t, h, loopback4)}
}

func (u udp) fromSender() []netlab.Expr {
	return []netlab.Expr{netlab.L4Proto(unix.IPPROTO_UDP), netlab.SrcPort(addrOf(u.sender).Port())}
}

func (u udp) wantPassed(t *testing.T) {
	t.Helper()
	send(t, u.sender, u.sink, "passes")
	expect(t, u.sink, "passes")
}

// wantDropped sends a marker behind the datagram that must not arrive.
func (u udp) wantDropped(t *testing.T) {
	t.Helper()
	send(t, u.sender, u.sink, "must be dropped")
	send(t, u.other, u.sink, "marker")
	expect(t, u.sink, "marker")
}

func TestQueueBypass(t *testing.T) {
	u := newUDP(t)
	chain := labtest.Chain(t, u.host, netlab.Inet, netlab.Input, 0)
	rule := labtest.Rule(t, chain, append(u.fromSender(), netlab.Counter(),
		netlab.ToQueue(netlab.Queue{Num: 7, Bypass: true}))...)
	u.wantPassed(t)
	wantCount(t, rule, 1)
}

func TestQueueWithoutBypass(t *testing.T) {
	u := newUDP(t)
	chain := labtest.Chain(t, u.host, netlab.Inet, netlab.Input, 0)
	rule := labtest.Rule(t, chain, append(u.fromSender(), netlab.Counter(),
		netlab.ToQueue(netlab.Queue{Num: 7}))...)
	u.wantDropped(t)
	wantCount(t, rule, 1)
	if err := rule.Delete(); err != nil {
		t.Fatal(err)
	}
	u.wantPassed(t)
}

func TestQueueForms(t *testing.T) {
	u := newUDP(t)
	for _, family := range []netlab.Family{netlab.IP, netlab.IP6, netlab.Inet} {
		chain := labtest.Chain(t, u.host, family, netlab.Input, 0)
		labtest.Rule(t, chain, netlab.ToQueue(netlab.Queue{Num: 65532, Total: 4, Bypass: true,
			Fanout: true}))
		labtest.Rule(t, chain, netlab.ToQueue(netlab.Queue{Num: 0, Total: 65535, Bypass: true}))
		if _, err := chain.AddRule(netlab.ToQueue(netlab.Queue{Num: 65533, Total: 4})); err == nil {
			t.Errorf("family %d: queues beyond 65535 accepted", family)
		}
	}
	u.wantPassed(t)
}

func TestVerdicts(t *testing.T) {
	u := newUDP(t)
	chain := labtest.Chain(t, u.host, netlab.IP, netlab.Output, 0)
	accept := labtest.Rule(t, chain, append(u.fromSender(), netlab.DstPort(addrOf(u.sink).Port()),
		netlab.Accept())...)
	labtest.Rule(t, chain, append(u.fromSender(), netlab.Drop())...)
	u.wantPassed(t)
	if err := accept.Delete(); err != nil {
		t.Fatal(err)
	}
	// In the output path the sender learns of the drop.
	if _, err := u.sender.WriteToUDPAddrPort([]byte("x"), addrOf(u.sink)); err == nil {
		t.Error("sent although a rule drops it")
	}
	if err := chain.Delete(); err != nil {
		t.Fatal(err)
	}
	u.wantPassed(t)
}

func TestPolicyAndTableDelete(t *testing.T) {
	u := newUDP(t)
	table, err := u.host.AddTable(netlab.Inet, "t")
	if err != nil {
		t.Fatal(err)
	}
	chain, err := table.AddChain("c", netlab.Input, 0, netlab.PolicyDrop)
	if err != nil {
		t.Fatal(err)
	}
	labtest.Rule(t, chain, netlab.L4Proto(unix.IPPROTO_UDP), netlab.SrcPort(addrOf(u.other).Port()),
		netlab.Accept())
	u.wantDropped(t)
	if _, err := u.host.AddTable(netlab.Inet, "t"); err == nil {
		t.Error("a second table of one name was made")
	}
	if err := table.Delete(); err != nil {
		t.Fatal(err)
	}
	u.wantPassed(t)
}

func TestMarks(t *testing.T) {
	u := newUDP(t)
	const first, second = 0x01020304, 0xfffefdfc
	out := labtest.Chain(t, u.host, netlab.Inet, netlab.Output, 0)
	set := labtest.Rule(t, out, netlab.Mark(first), netlab.Counter(), netlab.SetMark(second))
	in := labtest.Chain(t, u.host, netlab.Inet, netlab.Input, 0)
	seen := labtest.Rule(t, in, netlab.Mark(second), netlab.InDevName("lo"), netlab.Counter())

	raw, err := u.sender.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var optErr error
	err = raw.Control(func(fd uintptr) { optErr = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, first) })
	if err != nil || optErr != nil {
		t.Fatal(err, optErr)
	}
	u.wantPassed(t)
	send(t, u.other, u.sink, "unmarked")
	expect(t, u.sink, "unmarked")
	wantCount(t, set, 1)
	wantCount(t, seen, 1)
}

func TestCounterBytes(t *testing.T) {
	u := newUDP(t)
	chain := labtest.Chain(t, u.host, netlab.IP, netlab.Output, 0)
	rule := labtest.Rule(t, chain, netlab.OutDevName("lo"), netlab.Counter())
	plain := labtest.Rule(t, chain, netlab.Accept())
	u.wantPassed(t)
	const size = 20 + 8 + len("passes")
	if packets, bytes, err := rule.Count(); packets != 1 || bytes != uint64(size) || err != nil {
		t.Errorf("%d packets, %d bytes, %v", packets, bytes, err)
	}
	if _, _, err := plain.Count(); err == nil {
		t.Error("a rule without counter was counted")
	}
	if err := rule.Delete(); err != nil {
		t.Fatal(err)
	}
	if err := rule.Delete(); err == nil {
		t.Error("deleted twice")
	}
}

func TestConntrackState(t *testing.T) {
	n := labtest.Pair(t)
	chain := labtest.Chain(t, n.Server, netlab.Inet, netlab.Input, 0)
	fresh := labtest.Rule(t, chain, netlab.InCTState(netlab.CTNew), netlab.L4Proto(unix.IPPROTO_UDP),
		netlab.Counter())
	known := labtest.Rule(t, chain, netlab.InCTState(netlab.CTEstablished|netlab.CTRelated),
		netlab.L4Proto(unix.IPPROTO_UDP), netlab.Counter())
	there, here := listen(t, n.Server, n.Server4), listen(t, n.Client, n.Client4)
	for range 2 {
		send(t, here, there, "ping")
		expect(t, there, "ping")
		send(t, there, here, "pong")
		expect(t, here, "pong")
	}
	wantCount(t, fresh, 1)
	wantCount(t, known, 1)
}
