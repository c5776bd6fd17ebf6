// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue_test

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"golang.org/x/sys/unix"
)

// options fill the header of an IPv4 packet: 40 bytes of an empty record route.
var options = "\x07\x27\x04" + strings.Repeat("\x00", 37)

// TestRewriteHeaders changes the length of the headers in front of a datagram. What the kernel would lose is
// refused, as far as that can be known, and then arrives as it was.
func TestRewriteHeaders(t *testing.T) {
	labtest.NeedReplace(t)
	const arrives, refused, lost = "arrives", "is refused", "is lost"
	short, long := "hi", strings.Repeat("hi", 50)
	strip4 := func(b []byte) []byte { b[0] = 0x45; return append(b[:20:20], b[60:]...) }
	add4 := func(b []byte) []byte { b[0]++; return append(append(b[:20:20], 1, 1, 1, 0), b[20:]...) }
	strip6 := func(b []byte) []byte { b[6] = b[40]; return append(b[:40:40], b[40+8*(1+int(b[41])):]...) }
	add6 := func(b []byte) []byte {
		next := b[6]
		b[6] = 60
		return append(append(b[:40:40], append([]byte{next, 2, 0x1e, 20}, make([]byte, 20)...)...), b[40:]...)
	}
	v4, v6 := families[0], families[1]
	destination := "\x00\x02\x1e\x14" + strings.Repeat("\x00", 20)
	for _, c := range []struct {
		name         string
		family       int
		hook         netlab.Hook
		option, text string
		edit         func([]byte) []byte
		outcome      string
	}{
		{"no options at output", 4, netlab.Output, options, long, strip4, arrives},
		{"no options, short, at output", 4, netlab.Output, options, short, strip4, refused},
		{"no options, short, at postrouting", 4, netlab.Postrouting, options, short, strip4, refused},
		{"options at output", 4, netlab.Output, "", short, add4, arrives},
		{"options at postrouting", 4, netlab.Postrouting, "", short, add4, arrives},
		{"options at prerouting", 4, netlab.Prerouting, "", short, add4, lost},
		{"options at input", 4, netlab.Input, "", short, add4, refused},
		{"no options at input", 4, netlab.Input, options, long, strip4, refused},
		{"no extension header at output", 6, netlab.Output, destination, long, strip6, arrives},
		{"no extension header, short, at output", 6, netlab.Output, destination, "", strip6, refused},
		{"no extension header, short, at input", 6, netlab.Input, destination, "", strip6, arrives},
		{"extension header at output", 6, netlab.Output, "", short, add6, arrives},
		{"extension header at prerouting", 6, netlab.Prerouting, "", short, add6, arrives},
		{"extension header at input", 6, netlab.Input, "", short, add6, arrives},
	} {
		t.Run(c.name, func(t *testing.T) {
			n, f, level, option := labtest.Pair(t), v4, unix.IPPROTO_IP, unix.IP_OPTIONS
			if c.family == 6 {
				f, level, option = v6, unix.IPPROTO_IPV6, unix.IPV6_DSTOPTS
			}
			host := n.Client
			if c.hook == netlab.Prerouting || c.hook == netlab.Input {
				host = n.Server
			}
			outcome := c.outcome
			if outcome == arrives && labtest.AtLeast(t, 7, 2) {
				outcome = lost
			}
			queueUDP(t, labtest.Chain(t, host, f.rules, c.hook, 0), netlab.Queue{Num: 1})
			q := serve(t, host, nfqueue.Config{Queue: 1}, func(p *nfqueue.Packet) nfqueue.Verdict {
				if p.ID() > 1 {
					return nfqueue.Accept
				}
				if err := p.SetPayload(c.edit([]byte(string(p.Payload())))); (err != nil) != (outcome == refused) {
					t.Errorf("it %s: %v", outcome, err)
				}
				return nfqueue.Accept
			})
			to := netip.AddrPortFrom(f.server(n), port)
			l, s := listenUDP(t, n.Server, to), dialUDP(t, n.Client, to)
			if c.option != "" {
				setOption(t, s, level, option, c.option)
			}
			send(t, s, c.text, "the next")
			if outcome != lost {
				receive(t, l, c.text)
			}
			receive(t, l, "the next")
			stop(t, q)
		})
	}
}

// TestRewriteSurplus: what is behind a UDP datagram, but in its packet, does not become part of it.
func TestRewriteSurplus(t *testing.T) {
	labtest.NeedReplace(t)
	n := labtest.Pair(t)
	to := netip.AddrPortFrom(n.Server4, port)
	queueUDP(t, labtest.Chain(t, n.Client, netlab.IP, netlab.Output, 0), netlab.Queue{Num: 1})
	r := rewrite(t, n.Client, nfqueue.Config{Queue: 1}, func(p *nfqueue.Packet) []byte {
		b := p.Payload()
		b[8]-- // Time to Live
		copy(b[udpData(p):], strings.ToUpper(string(b[udpData(p):])))
		return b
	})
	l := listenUDP(t, n.Server, to)
	c, err := netlab.In(n.Client, func() (net.PacketConn, error) { return net.ListenPacket("ip4:udp", n.Client4.String()) })
	labtest.Must(t, err)
	defer c.Close()
	datagram := []byte{0x10, 0, port >> 8, port & 0xff, 0, 10, 0, 0, 'h', 'i', 'm', 'o', 'r', 'e'}
	_, err = c.WriteTo(datagram, &net.IPAddr{IP: n.Server4.AsSlice()})
	labtest.Must(t, err)
	receive(t, l, "HI")
	r.want(t, 1)
}
