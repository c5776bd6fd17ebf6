// SPDX-License-Identifier: GPL-2.0-or-later

package rewrite_test

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
	"golang.org/x/sys/unix"
)

// options fill the header of an IPv4 packet: 40 bytes of an empty record route.
var options = "\x07\x27\x04" + strings.Repeat("\x00", 37)

// TestRewriteHeaders changes the length of the headers in front of a datagram. A packet that the
// kernel would lose is refused, as far as the library can know that, and then arrives as it was.
func TestRewriteHeaders(t *testing.T) {
	labtest.NeedReplace(t)
	const arrives, refused, lost = "arrives", "is refused", "is lost"
	short, long := "hi", strings.Repeat("hi", 50)
	strip4 := func(b []byte) []byte { b[0] = 0x45; return append(b[:20:20], b[60:]...) }
	add4 := func(b []byte) []byte { b[0]++; return append(append(b[:20:20], 1, 1, 1, 0), b[20:]...) }
	strip6 := func(b []byte) []byte { b[6] = b[40]; return append(b[:40:40], b[40+8*(1+int(b[41])):]...) }
	add6 := func(typ byte) func([]byte) []byte {
		return func(b []byte) []byte {
			next := b[6]
			b[6] = typ
			return append(append(b[:40:40], append([]byte{next, 2, 0x1e, 20}, make([]byte, 20)...)...),
				b[40:]...)
		}
	}
	type option struct {
		family      int
		level, name int
		value       string
	}
	extension := "\x00\x02\x1e\x14" + strings.Repeat("\x00", 20)
	var (
		none4       = option{family: 4}
		none6       = option{family: 6}
		route       = option{4, unix.IPPROTO_IP, unix.IP_OPTIONS, options}
		hopByHop    = option{6, unix.IPPROTO_IPV6, unix.IPV6_HOPOPTS, extension}
		destination = option{6, unix.IPPROTO_IPV6, unix.IPV6_DSTOPTS, extension}
	)
	const typeHopByHop, typeDestination = 0, 60
	pair, routed := labtest.Pair(t), labtest.Routed(t)
	for i, c := range []struct {
		name    string
		option  option
		router  bool // is where the queue is
		hook    netlab.Hook
		text    string
		edit    func([]byte) []byte
		outcome string
	}{
		{"no options at output", route, false, netlab.Output, long, strip4, arrives},
		{"no options, short, at output", route, false, netlab.Output, short, strip4, refused},
		{"no options, short, at postrouting", route, false, netlab.Postrouting, short, strip4, refused},
		{"no options at input", route, false, netlab.Input, long, strip4, refused},
		{"no options at prerouting of a router", route, true, netlab.Prerouting, long, strip4, arrives},
		{"no options at forward", route, true, netlab.Forward, long, strip4, refused},
		{"no options at postrouting of a router", route, true, netlab.Postrouting, long, strip4, arrives},
		{"options at output", none4, false, netlab.Output, short, add4, arrives},
		{"options at forward", none4, true, netlab.Forward, short, add4, arrives},
		{"options at postrouting", none4, false, netlab.Postrouting, short, add4, arrives},
		{"options at prerouting", none4, false, netlab.Prerouting, short, add4, lost},
		{"options at input", none4, false, netlab.Input, short, add4, refused},
		{"no extension header at output", destination, false, netlab.Output, long, strip6, arrives},
		{"no extension header, short, at output", destination, false, netlab.Output, "", strip6, refused},
		{"no extension header, short, at postrouting", destination, false, netlab.Postrouting, "", strip6,
			refused},
		{"no extension header, short, at input", destination, false, netlab.Input, "", strip6, arrives},
		{"extension header at output", none6, false, netlab.Output, short, add6(typeDestination),
			arrives},
		{"extension header at prerouting", none6, false, netlab.Prerouting, short, add6(typeDestination),
			arrives},
		{"extension header at forward", none6, true, netlab.Forward, short, add6(typeDestination),
			arrives},
		{"extension header at input", none6, false, netlab.Input, short, add6(typeDestination), arrives},
		{"no hop-by-hop options at output", hopByHop, false, netlab.Output, long, strip6, arrives},
		{"no hop-by-hop options at prerouting", hopByHop, false, netlab.Prerouting, long, strip6, lost},
		{"no hop-by-hop options at forward", hopByHop, true, netlab.Forward, long, strip6, arrives},
		{"no hop-by-hop options, short, at forward", hopByHop, true, netlab.Forward, "", strip6, refused},
		{"no hop-by-hop options at input", hopByHop, false, netlab.Input, long, strip6, refused},
		{"hop-by-hop options at prerouting", none6, false, netlab.Prerouting, short, add6(typeHopByHop),
			lost},
		{"hop-by-hop options at input", none6, false, netlab.Input, short, add6(typeHopByHop), refused},
	} {
		t.Run(c.name, func(t *testing.T) {
			n, f := pair, queuelab.Families[0]
			if c.option.family == 6 {
				f = queuelab.Families[1]
			}
			host := n.Client
			switch {
			case c.router:
				n, host = routed, routed.Middle
			case c.hook == netlab.Prerouting || c.hook == netlab.Input:
				host = n.Server
			}
			outcome := c.outcome
			if outcome == arrives && labtest.AtLeast(t, 7, 2) {
				outcome = lost
			}
			queue := uint16(i + 1) // the rules stay
			queuelab.QueueUDP(t, labtest.Chain(t, host, f.Rules, c.hook, 0),
				netlab.Queue{Num: queue, Bypass: true})
			q := queuelab.Serve(t, host, nfqueue.Config{Queue: queue},
				func(p *nfqueue.Packet) nfqueue.Verdict {
					if p.ID() > 1 {
						return nfqueue.Accept
					}
					if err := p.SetPayload(c.edit([]byte(string(p.Payload())))); (err != nil) != (outcome == refused) {
						t.Errorf("it %s: %v", outcome, err)
					}
					return nfqueue.Accept
				})
			to := netip.AddrPortFrom(f.Server(n), queuelab.Port)
			l, s := queuelab.ListenUDP(t, n.Server, to), queuelab.DialUDP(t, n.Client, to)
			if o := c.option; o.value != "" {
				setOption(t, s, o.level, o.name, o.value)
			}
			queuelab.Send(t, s, c.text)
			if outcome == lost {
				s = queuelab.DialUDP(t, n.Client, to) // the other one may hear that the datagram made no sense
			} else {
				queuelab.Receive(t, l, c.text)
			}
			queuelab.Send(t, s, "the next")
			queuelab.Receive(t, l, "the next")
			if got := q.Stats().Received; got != 2 {
				t.Errorf("%d packets came through the queue", got)
			}
			queuelab.Stop(t, q)
		})
	}
}

// TestRewriteSurplus: bytes behind a UDP datagram, but inside its packet, do not become part of it.
func TestRewriteSurplus(t *testing.T) {
	labtest.NeedReplace(t)
	n := labtest.Pair(t)
	to := netip.AddrPortFrom(n.Server4, queuelab.Port)
	queuelab.QueueUDP(t, labtest.Chain(t, n.Client, netlab.IP, netlab.Output, 0), netlab.Queue{Num: 1})
	r := rewrite(t, n.Client, nfqueue.Config{Queue: 1}, func(p *nfqueue.Packet) []byte {
		b := p.Payload()
		b[8]-- // Time to Live
		copy(b[queuelab.UDPData(p):], strings.ToUpper(string(b[queuelab.UDPData(p):])))
		return b
	})
	l := queuelab.ListenUDP(t, n.Server, to)
	c, err := netlab.In(n.Client, func() (net.PacketConn, error) { return net.ListenPacket("ip4:udp", n.Client4.String()) })
	labtest.Must(t, err)
	defer c.Close()
	datagram := []byte{0x10, 0, queuelab.Port >> 8, queuelab.Port & 0xff, 0, 10, 0, 0, 'h', 'i', 'm',
		'o', 'r', 'e'}
	_, err = c.WriteTo(datagram, &net.IPAddr{IP: n.Server4.AsSlice()})
	labtest.Must(t, err)
	queuelab.Receive(t, l, "HI")
	r.want(t, 1)
}
