// SPDX-License-Identifier: GPL-2.0-or-later

//go:build kernelmatrix

package conntrack_test

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/conntrack"
	"github.com/chifflier/nfqueue-go/internal/ippkt"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
	"github.com/google/nftables/expr"
)

const (
	icmp   = 1   // IPPROTO_ICMP
	tcp    = 6   // IPPROTO_TCP
	icmpv6 = 58  // IPPROTO_ICMPV6
	sctp   = 132 // IPPROTO_SCTP

	anyState = netlab.CTNew | netlab.CTEstablished | netlab.CTRelated
)

// trackLab is a client and a server. The server tracks connections and queues its input and output.
// seen has the packets as they were queued.
type trackLab struct {
	*netlab.Network
	seen chan *nfqueue.Packet
}

// track makes a trackLab in which edit changes each packet before it is accepted.
// Packets are queued that the expressions match.
func track(t *testing.T, edit func(*nfqueue.Packet), match ...netlab.Expr) trackLab {
	t.Helper()
	lab := newTrackLab(t)
	lab.queue(t, edit, match...)
	return lab
}

func newTrackLab(t *testing.T) trackLab {
	t.Helper()
	return trackLab{labtest.Pair(t), make(chan *nfqueue.Packet, 1000)}
}

// queue queues the packets that the expressions match.

func (lab trackLab) queue(t *testing.T, edit func(*nfqueue.Packet), match ...netlab.Expr) {
	t.Helper()
	queuelab.Serve(t, lab.Server, nfqueue.Config{Queue: 1, Flags: nfqueue.Conntrack},
		func(p *nfqueue.Packet) nfqueue.Verdict {
			lab.seen <- p.Clone()
			edit(p)
			return nfqueue.Accept
		})
	rule := append(match, netlab.InCTState(anyState), netlab.ToQueue(netlab.Queue{Num: 1}))
	for _, hook := range []netlab.Hook{netlab.Input, netlab.Output} {
		labtest.Rule(t, labtest.Chain(t, lab.Server, netlab.Inet, hook, 0), rule...)
	}
}

// next returns the next packet, which must have been seen at a hook in a state,
// with its entry.
func (lab trackLab) next(t *testing.T, hook nfqueue.Hook, state conntrack.State) (*nfqueue.Packet,
	conntrack.Entry) {
	t.Helper()
	p := queuelab.WaitFor(t, lab.seen)
	e, ok := p.Conntrack()
	if !ok {
		t.Fatalf("packet %d at %v has no entry", p.ID(), p.Hook())
	}
	if s, ok := p.ConnState(); p.Hook() != hook || s != state || !ok {
		t.Fatalf("packet %d at %v is %v, %v; want %v, %v", p.ID(), p.Hook(), s, ok, hook, state)
	}
	return p, e
}

func noEdit(*nfqueue.Packet) {}

// must fails the test when a packet cannot be changed.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// wantTuples checks both tuples of a connection whose addresses are not translated.
func wantTuples(t *testing.T, e conntrack.Entry, want conntrack.Tuple) {
	t.Helper()
	if got, ok := e.Original(); !ok || got != want {
		t.Errorf("original %v, %v; want %v", got, ok, want)
	}
	want.Src, want.Dst, want.SrcPort, want.DstPort = want.Dst, want.Src, want.DstPort, want.SrcPort
	switch want.Protocol {
	case icmp:
		want.ICMPType = 0
	case icmpv6:
		want.ICMPType = 129
	}
	if got, ok := e.Reply(); !ok || got != want {
		t.Errorf("reply %v, %v; want %v", got, ok, want)
	}
	if m, ok := e.Master(); ok {
		t.Errorf("master %v", m)
	}
}

func wantStatus(t *testing.T, e conntrack.Entry, what string, set, clear conntrack.Status) {
	t.Helper()
	if s := e.Status(); s&set != set || s&clear != 0 {
		t.Errorf("%s: status %v; want %v and not %v", what, s, set, clear)
	}
}

// wantTimeout checks that the rest of a timeout is at most a little less than the timeout.
func wantTimeout(t *testing.T, e conntrack.Entry, what string, want time.Duration) {
	t.Helper()
	if d, ok := e.Timeout(); !ok || d > want || d < want-queuelab.Patience {
		t.Errorf("%s: timeout %v, %v; want %v", what, d, ok, want)
	}
}

// ends are the addresses of a flow of a family in a pair.
func ends(f int, n *netlab.Network) (client, server netip.Addr) {
	if queuelab.Families[f].Family == nfqueue.FamilyIPv4 {
		return n.Client4, n.Server4
	}
	return n.Client6, n.Server6
}

func localPort(c net.Conn) uint16 { return netip.MustParseAddrPort(c.LocalAddr().String()).Port() }

const confirmed, seenReply, assured = conntrack.StatusConfirmed, conntrack.StatusSeenReply,
	conntrack.StatusAssured

func TestConntrackUDP(t *testing.T) {
	for f, family := range queuelab.Families {
		t.Run(family.Name, func(t *testing.T) {
			lab := track(t, noEdit, netlab.L4Proto(queuelab.UDP))
			client, server := ends(f, lab.Network)
			l := queuelab.ListenUDP(t, lab.Server, netip.AddrPortFrom(server, queuelab.Port))
			c := queuelab.DialUDP(t, lab.Client, netip.AddrPortFrom(server, queuelab.Port))
			want := conntrack.Tuple{Src: client, Dst: server, Protocol: queuelab.UDP, SrcPort: localPort(c),
				DstPort: queuelab.Port}

			queuelab.Send(t, c, "one")
			queuelab.Receive(t, l, "one")
			_, first := lab.next(t, nfqueue.HookInput, conntrack.StateNew)
			wantTuples(t, first, want)
			wantStatus(t, first, "new", 0, confirmed|seenReply|assured)

			_, err := l.WriteToUDPAddrPort([]byte("two"), netip.AddrPortFrom(client, want.SrcPort))
			labtest.Must(t, err)
			_, e := lab.next(t, nfqueue.HookOutput, conntrack.StateEstablishedReply)
			wantTuples(t, e, want)
			wantStatus(t, e, "reply", confirmed|seenReply, 0)
			a, aOK := first.ID()
			if b, bOK := e.ID(); !aOK || !bOK || a != b {
				t.Errorf("ids %d and %d of one connection", a, b)
			}

			queuelab.Send(t, c, "three")
			queuelab.Receive(t, l, "three")
			_, e = lab.next(t, nfqueue.HookInput, conntrack.StateEstablished)
			wantStatus(t, e, "established", confirmed|seenReply, 0)
			if d, ok := e.Timeout(); !ok || d == 0 || d > 10*time.Minute {
				t.Errorf("timeout %v, %v", d, ok)
			}
			if _, ok := e.TCP(); ok || e.Helper() != nil || e.Labels() != nil || e.Mark() != 0 ||
				e.Zone() != 0 {
				t.Error("what is not there is told")
			}
		})
	}
}

func TestConntrackTCP(t *testing.T) {
	for f, family := range queuelab.Families {
		t.Run(family.Name, func(t *testing.T) {
			lab := track(t, noEdit, netlab.L4Proto(tcp))
			client, server := ends(f, lab.Network)
			l := listenTCP(t, lab.Server, netip.AddrPortFrom(server, queuelab.Port))
			c := dialTCP(t, lab.Client, netip.AddrPortFrom(server, queuelab.Port))
			want := conntrack.Tuple{Src: client, Dst: server, Protocol: tcp, SrcPort: localPort(c),
				DstPort: queuelab.Port}
			for _, s := range []struct {
				hook  nfqueue.Hook
				state conntrack.State
				tcp   conntrack.TCPState
				set   conntrack.Status
			}{
				{nfqueue.HookInput, conntrack.StateNew, conntrack.TCPSynSent, 0},
				{nfqueue.HookOutput, conntrack.StateEstablishedReply, conntrack.TCPSynRecv,
					confirmed | seenReply},
				{nfqueue.HookInput, conntrack.StateEstablished, conntrack.TCPEstablished,
					confirmed | seenReply | assured},
			} {
				_, e := lab.next(t, s.hook, s.state)
				wantTuples(t, e, want)
				wantStatus(t, e, s.tcp.String(), s.set, 0)
				info, ok := e.TCP()
				if !ok || info.State != s.tcp {
					t.Errorf("TCP %+v, %v; want %v", info, ok, s.tcp)
				}
				const scale = conntrack.TCPWindowScale | conntrack.TCPSACKPerm
				if s.tcp != conntrack.TCPSynSent && (info.OriginalFlags&scale != scale ||
					info.ReplyFlags&scale != scale || info.OriginalScale == 0 || info.ReplyScale == 0) {
					t.Errorf("%v: %+v, want window scaling and SACK on both ends", s.tcp, info)
				}
			}
			_, err := c.Write([]byte("data"))
			labtest.Must(t, err)
			labtest.Must(t, c.Close())
			if got := queuelab.ReadAll(t, l); got != "data" {
				t.Errorf("received %q", got)
			}
		})
	}
}

func TestConntrackICMP(t *testing.T) {
	for f, family := range queuelab.Families {
		t.Run(family.Name, func(t *testing.T) {
			const id = 0xabcd
			proto, request, network := uint8(icmp), uint8(8), "ip4:icmp"
			if family.Family == nfqueue.FamilyIPv6 {
				proto, request, network = icmpv6, 128, "ip6:ipv6-icmp"
			}
			lab := newTrackLab(t)
			client, server := ends(f, lab.Network)
			queuelab.Serve(t, lab.Server, nfqueue.Config{Queue: 1, Flags: nfqueue.Conntrack},
				func(p *nfqueue.Packet) nfqueue.Verdict {
					lab.seen <- p.Clone()
					return nfqueue.Accept
				})
			for hook, typ := range map[netlab.Hook]uint8{netlab.Input: request,
				netlab.Output: map[uint8]uint8{8: 0, 128: 129}[request]} {
				labtest.Rule(t, labtest.Chain(t, lab.Server, netlab.Inet, hook, 0),
					netlab.L4Proto(proto), netlab.ICMPType(typ), netlab.InCTState(anyState),
					netlab.ToQueue(netlab.Queue{Num: 1}))
			}
			c, err := netlab.In(lab.Client, func() (net.PacketConn, error) { return net.ListenPacket(network, client.String()) })
			labtest.Must(t, err)
			defer c.Close()
			echo := []byte{request, 0, 0, 0, id >> 8, id & 0xff, 0, 1, 'h', 'i'}
			if proto == icmp {
				binary.BigEndian.PutUint16(echo[2:], ^ippkt.Fold(ippkt.Sum(0, echo)))
			}
			_, err = c.WriteTo(echo, &net.IPAddr{IP: server.AsSlice()})
			labtest.Must(t, err)
			want := conntrack.Tuple{Src: client, Dst: server, Protocol: nfqueue.Protocol(proto),
				ICMPType: request, ICMPID: id}
			_, e := lab.next(t, nfqueue.HookInput, conntrack.StateNew)
			wantTuples(t, e, want)
			_, e = lab.next(t, nfqueue.HookOutput, conntrack.StateEstablishedReply)
			wantTuples(t, e, want)
			wantStatus(t, e, "reply", confirmed|seenReply, 0)
		})
	}
}

// TestConntrackSCTP: an INIT chunk makes an entry, in which the other direction has
// the tag that it announces.
func TestConntrackSCTP(t *testing.T) {
	lab := track(t, noEdit, netlab.L4Proto(sctp))
	c, err := netlab.In(lab.Client, func() (net.PacketConn, error) { return net.ListenPacket("ip4:132", lab.Client4.String()) })
	labtest.Must(t, err)
	defer c.Close()
	const tag = 0xdecafbad
	init := []byte{
		0x03, 0xe8, 0x07, 0xd0, 0, 0, 0, 0, 0, 0, 0, 0, // ports 1000 and 2000, tag 0
		1, 0, 0, 20, tag >> 24, tag >> 16 & 0xff, tag >> 8 & 0xff, tag & 0xff, 0, 1, 0, 0, 0, 1, 0, 1, 0,
		0, 0, 1,
	}
	binary.LittleEndian.PutUint32(init[8:], ippkt.CRC32c(init))
	_, err = c.WriteTo(init, &net.IPAddr{IP: lab.Server4.AsSlice()})
	labtest.Must(t, err)
	_, e := lab.next(t, nfqueue.HookInput, conntrack.StateNew)
	wantTuples(t, e, conntrack.Tuple{Src: lab.Client4, Dst: lab.Server4, Protocol: sctp, SrcPort: 1000,
		DstPort: 2000})
	if info, ok := e.SCTP(); !ok || info != (conntrack.SCTPInfo{State: conntrack.SCTPClosed,
		ReplyVTag: tag}) {
		t.Errorf("SCTP %+v, %v", info, ok)
	}
}

// udpFlow sends one datagram after another from client to server, each when the one
// before has arrived, and returns the entries.
func (lab trackLab) udpFlow(t *testing.T, n int) []conntrack.Entry {
	t.Helper()
	l := queuelab.ListenUDP(t, lab.Server, netip.AddrPortFrom(lab.Server4, queuelab.Port))
	c := queuelab.DialUDP(t, lab.Client, netip.AddrPortFrom(lab.Server4, queuelab.Port))
	var entries []conntrack.Entry
	for range n {
		queuelab.Send(t, c, "datagram")
		queuelab.Receive(t, l, "datagram")
		// No reply comes, so all are new.
		_, e := lab.next(t, nfqueue.HookInput, conntrack.StateNew)
		entries = append(entries, e)
	}
	return entries
}

func TestConnMarkVerdict(t *testing.T) {
	lab := track(t, func(p *nfqueue.Packet) {
		switch p.ID() {
		case 1:
			must(t, p.SetConnMark(0x11223344, 0xffffffff))
		case 2:
			must(t, p.SetConnMark(0xaaaaaaaa, 0x0000ff0f))
		case 3:
			must(t, p.SetConnMark(0, 0xff000000))
		}
	}, netlab.L4Proto(queuelab.UDP))
	for i, e := range lab.udpFlow(t, 4) {
		if want := []uint32{0, 0x11223344, 0x1122aa4a, 0x0022aa4a}[i]; e.Mark() != want {
			t.Errorf("packet %d has mark %#x, want %#x", i+1, e.Mark(), want)
		}
	}
}

func TestConnLabelsVerdict(t *testing.T) {
	labels, mask := []byte("0123456789abcdef"), bytes.Repeat([]byte{0x0f, 0xf0}, 8)
	edit := func(p *nfqueue.Packet) {
		switch p.ID() {
		case 1:
			must(t, p.SetConnLabels(labels, nil))
			must(t, p.SetConnMark(1, 1))
		case 2:
			must(t, p.SetConnLabels(bytes.Repeat([]byte{0xff}, 16), mask))
		case 3:
			must(t, p.SetConnLabels(make([]byte, 16), nil))
		}
	}
	t.Run("with room", func(t *testing.T) {
		lab := newTrackLab(t)
		labtest.Rule(t, labtest.Chain(t, lab.Server, netlab.Inet, netlab.Output, 10), netlab.L4Proto(253),
			setCT(expr.CtKeyLABELS, labels))
		lab.queue(t, edit, netlab.L4Proto(queuelab.UDP))
		masked := bytes.Clone(labels)
		for i := range masked {
			masked[i] |= mask[i]
		}
		want := [][]byte{nil, labels, masked, nil}
		for i, e := range lab.udpFlow(t, 4) {
			if !bytes.Equal(e.Labels(), want[i]) {
				t.Errorf("packet %d has labels %x, want %x", i+1, e.Labels(), want[i])
			}
			if mark := e.Mark(); mark != uint32(min(i, 1)) {
				t.Errorf("packet %d has mark %d", i+1, mark)
			}
		}
	})
	t.Run("without room", func(t *testing.T) {
		lab := track(t, edit, netlab.L4Proto(queuelab.UDP))
		for i, e := range lab.udpFlow(t, 2) {
			if e.Labels() != nil || e.Mark() != 0 {
				t.Errorf("packet %d has labels %x and mark %d, want none", i+1, e.Labels(), e.Mark())
			}
		}
	})
}

func TestConnTimeoutVerdict(t *testing.T) {
	const fixed = conntrack.StatusFixedTimeout
	lab := track(t, func(p *nfqueue.Packet) {
		switch p.ID() {
		case 2:
			must(t, p.SetConnTimeout(5000*time.Second))
		case 3: // the packet itself has set the protocol's timeout again
			must(t, p.SetConnTimeout(7000*time.Second))
			must(t, p.SetConnStatus(fixed|assured, 0))
		case 4:
			if err := p.SetConnTimeout(time.Second); err == nil {
				t.Error("a fixed timeout can be changed")
			}
		case 5:
			must(t, p.SetConnStatus(0, fixed))
		}
	}, netlab.L4Proto(queuelab.UDP))
	entries := lab.udpFlow(t, 6)
	wantTimeout(t, entries[2], "after a timeout that is not fixed", 30*time.Second)
	for i := 3; i <= 4; i++ {
		wantStatus(t, entries[i], "with a fixed timeout", fixed|assured|confirmed, 0)
		wantTimeout(t, entries[i], "with a fixed timeout", 7000*time.Second)
	}
	wantStatus(t, entries[5], "with a free timeout", assured|confirmed, fixed)
}

// TestConnTimeoutOfNew sets the timeout with the first packet of a connection.
func TestConnTimeoutOfNew(t *testing.T) {
	lab := track(t, func(p *nfqueue.Packet) {
		if p.ID() == 1 {
			must(t, p.SetConnTimeout(5000*time.Second))
			must(t, p.SetConnStatus(conntrack.StatusFixedTimeout, 0))
		}
	}, netlab.L4Proto(queuelab.UDP))
	entries := lab.udpFlow(t, 2)
	wantStatus(t, entries[1], "the second packet", confirmed|conntrack.StatusFixedTimeout, 0)
	if !labtest.AtLeast(t, 6, 1) {
		t.Log("the kernel counts the timeout of an unconfirmed entry from its own start")
		return
	}
	wantTimeout(t, entries[0], "the first packet", 30*time.Second)
	wantTimeout(t, entries[1], "the second packet", 5000*time.Second)
}

func TestConntrackRecords(t *testing.T) {
	lab := newTrackLab(t)
	for _, sysctl := range []string{"nf_conntrack_acct", "nf_conntrack_timestamp"} {
		labtest.Must(t, lab.Server.SetSysctl("netfilter/"+sysctl, "1"))
	}
	lab.queue(t, noEdit, netlab.L4Proto(queuelab.UDP))
	before := time.Now()
	entries := lab.udpFlow(t, 2)
	for i, e := range entries {
		packets := uint64(i + 1)
		want := conntrack.Counters{Packets: packets, Bytes: packets * (20 + 8 + uint64(len("datagram")))}
		told := labtest.AtLeast(t, 6, 1)
		if original, reply, ok := e.Counters(); ok != told || told &&
			(original != want || reply != (conntrack.Counters{})) {
			t.Errorf("packet %d: counters %v, %v, %v; want %v", i+1, original, reply, ok, want)
		}
		start, stop, ok := e.Times()
		if ok != told || !stop.IsZero() || told && (i == 0) != start.IsZero() || i > 0 && told &&
			(start.Before(before) || start.After(time.Now())) {
			t.Errorf("packet %d: from %v to %v, %v", i+1, start, stop, ok)
		}
	}
}

func TestConntrackZone(t *testing.T) {
	lab := newTrackLab(t)
	labtest.Rule(t, labtest.Chain(t, lab.Server, netlab.Inet, netlab.Prerouting, -300),
		netlab.L4Proto(queuelab.UDP),
		setCT(expr.CtKeyZONE, binary.NativeEndian.AppendUint16(nil, 515)))
	lab.queue(t, noEdit, netlab.L4Proto(queuelab.UDP))
	e := lab.udpFlow(t, 1)[0]
	if original, ok := e.Original(); e.Zone() != 515 || !ok || original.Zone != 515 {
		t.Errorf("zone %d, of the original direction %v", e.Zone(), original)
	}
}

func TestUntracked(t *testing.T) {
	lab := newTrackLab(t)
	labtest.Rule(t, labtest.Chain(t, lab.Server, netlab.Inet, netlab.Prerouting, -300),
		netlab.L4Proto(queuelab.UDP), notrack)
	labtest.Rule(t, labtest.Chain(t, lab.Server, netlab.Inet, netlab.Input, 0),
		netlab.L4Proto(queuelab.UDP),
		netlab.InCTState(netlab.CTUntracked), netlab.ToQueue(netlab.Queue{Num: 1}))
	queuelab.Serve(t, lab.Server, nfqueue.Config{Queue: 1, Flags: nfqueue.Conntrack},
		func(p *nfqueue.Packet) nfqueue.Verdict {
			if e, ok := p.Conntrack(); ok {
				t.Errorf("an untracked packet has an entry with status %v", e.Status())
			}
			if s, ok := p.ConnState(); ok {
				t.Errorf("an untracked packet is %v", s)
			}
			if p.SetConnMark(1, 1) == nil {
				t.Error("the mark of no connection can be set")
			}
			return nfqueue.Accept
		})
	l := queuelab.ListenUDP(t, lab.Server, netip.AddrPortFrom(lab.Server4, queuelab.Port))
	queuelab.Send(t, queuelab.DialUDP(t, lab.Client, netip.AddrPortFrom(lab.Server4, queuelab.Port)),
		"datagram")
	queuelab.Receive(t, l, "datagram")
}
