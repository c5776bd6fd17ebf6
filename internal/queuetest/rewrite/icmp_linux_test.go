// SPDX-License-Identifier: GPL-2.0-or-later

package rewrite_test

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
	neticmp "golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// TestRewriteICMP changes echo requests. The kernel of the server answers those with a right
// checksum only, with their data.
func TestRewriteICMP(t *testing.T) {
	const id = 0x1234
	everyWay(t, func(t *testing.T, n *netlab.Network, rules netlab.Family, server netip.Addr,
		cfg nfqueue.Config) {
		network, client, protocol := "ip4:icmp", n.Client4, 1
		var request, reply neticmp.Type = ipv4.ICMPTypeEcho, ipv4.ICMPTypeEchoReply
		if server.Is6() {
			network, client, protocol = "ip6:ipv6-icmp", n.Client6, 58
			request, reply = ipv6.ICMPTypeEchoRequest, ipv6.ICMPTypeEchoReply
		}
		edits := []struct{ from, to string }{
			{"in place", "IN PLACE"}, {"longer", "longer than it was"}, {"odd", "odd!!"},
			{"much longer", strings.Repeat("long", 300)}, {"shorter than it was", "shorter"},
			{"nothing left", ""},
		}
		chain := labtest.Chain(t, n.Client, rules, netlab.Output, 0)
		labtest.Rule(t, chain, netlab.L4Proto(uint8(protocol)), netlab.ToQueue(netlab.Queue{Num: 1}))
		r := rewrite(t, n.Client, cfg, func(p *nfqueue.Packet) []byte {
			b := p.Payload()
			head := 20 + 8
			if server.Is6() {
				head = 40 + 8
			}
			for _, e := range edits {
				if len(b) >= head && string(b[head:]) == e.from {
					return append(b[:head], e.to...)
				}
			}
			return nil // a reply, over loopback
		})
		c, err := netlab.In(n.Client, func() (net.PacketConn, error) { return net.ListenPacket(network, client.String()) })
		labtest.Must(t, err)
		defer c.Close()
		labtest.Must(t, c.SetDeadline(time.Now().Add(queuelab.Patience)))
		for seq, e := range edits {
			m := neticmp.Message{Type: request, Body: &neticmp.Echo{ID: id, Seq: seq, Data: []byte(e.from)}}
			b, err := m.Marshal(nil) // the kernel sets the checksum of ICMPv6
			labtest.Must(t, err)
			_, err = c.WriteTo(b, &net.IPAddr{IP: server.AsSlice()})
			labtest.Must(t, err)
			for got := make([]byte, 2048); ; {
				k, _, err := c.ReadFrom(got)
				if err != nil {
					t.Fatalf("waiting for the answer to %q: %v", e.from, err)
				}
				m, err := neticmp.ParseMessage(protocol, got[:k])
				labtest.Must(t, err)
				if echo, ok := m.Body.(*neticmp.Echo); m.Type == reply && ok && echo.ID == id &&
					echo.Seq == seq {
					if string(echo.Data) != e.to {
						t.Errorf("the answer has %.80q, want %.80q", echo.Data, e.to)
					}
					break
				}
			}
		}
		r.want(t, int64(len(edits)))
	})
}
