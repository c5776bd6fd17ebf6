// SPDX-License-Identifier: GPL-2.0-or-later

package rewrite_test

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
	"golang.org/x/sys/unix"
)

// TestRewriteListOfDatagrams changes a super-packet that GRO put together as a list (rx-gro-list).
// Its checksum is the sum of the pseudo-header of one datagram.
func TestRewriteListOfDatagrams(t *testing.T) {
	labtest.NeedReplace(t)
	if !labtest.AtLeast(t, 6, 12) {
		t.Skip("before Linux 6.12 no UDP super-packet can be replaced")
	}
	for _, f := range queuelab.Families {
		t.Run(f.Name, func(t *testing.T) {
			n := labtest.Routed(t)
			// The client's kernel sends datagrams, which the router puts together again.
			labtest.Must(t, n.Client.SetFeatures(netlab.Eth, map[string]bool{"tx-udp-segmentation": false}))
			labtest.Must(t, n.Middle.SetFeatures(netlab.ToClient, map[string]bool{"rx-gro": true,
				"rx-gro-list": true}))
			queuelab.QueueUDP(t, labtest.Chain(t, n.Middle, f.Rules, netlab.Forward, 0),
				netlab.Queue{Num: 1})
			lists := 0
			r := new(rewriter)
			r.Queue = queuelab.Serve(t, n.Middle, nfqueue.Config{Queue: 1},
				func(p *nfqueue.Packet) nfqueue.Verdict {
					const list = nfqueue.SegmentationPending | nfqueue.ChecksumNotReady
					if p.SKBInfo()&list == list {
						lists++
					}
					datagram, _ := p.Transport()
					if err := p.SetBody(bytes.ToUpper(datagram.Body)); err != nil {
						t.Error(err)
					}
					r.replaced.Add(1)
					return nfqueue.Accept
				})
			sent := []string{strings.Repeat("a", udpSegment), strings.Repeat("b", udpSegment), "last"}
			to := netip.AddrPortFrom(f.Server(n), queuelab.Port)
			l := queuelab.ListenUDP(t, n.Server, to)
			sendSegments(t, queuelab.DialUDP(t, n.Client, to), sent)
			queuelab.Receive(t, l, strings.ToUpper(sent[0]), strings.ToUpper(sent[1]), "LAST")
			r.want(t, 1)
			if lists == 0 {
				t.Error("the router put no datagrams together")
			}
		})
	}
}

// TestRewriteSourceRoute changes a datagram with a loose source route. Its checksum is the sum of
// the pseudo-header with the next hop.
func TestRewriteSourceRoute(t *testing.T) {
	labtest.NeedReplace(t)
	n := labtest.Routed(t)
	for host, names := range map[*netlab.Host][]string{
		n.Middle: {"all", netlab.ToClient, netlab.ToServer},
		n.Server: {"all", netlab.Eth},
	} {
		for _, name := range names {
			labtest.Must(t, host.SetSysctl("ipv4/conf/"+name+"/accept_source_route", "1"))
		}
	}
	queuelab.QueueUDP(t, labtest.Chain(t, n.Client, netlab.IP, netlab.Output, 0), netlab.Queue{Num: 1})
	partial := 0
	r := rewrite(t, n.Client, nfqueue.Config{Queue: 1}, func(p *nfqueue.Packet) []byte {
		if p.SKBInfo()&nfqueue.ChecksumNotReady != 0 {
			partial++
		}
		datagram, _ := p.Transport()
		copy(datagram.Body, bytes.ToUpper(datagram.Body))
		return p.Payload()
	})
	to := netip.AddrPortFrom(n.Server4, queuelab.Port)
	l, s := queuelab.ListenUDP(t, n.Server, to), queuelab.DialUDP(t, n.Client, to)
	router := netip.MustParseAddr("192.0.2.2").As4()
	setOption(t, s, unix.IPPROTO_IP, unix.IP_OPTIONS, "\x83\x07\x04"+string(router[:])+"\x00")
	queuelab.Send(t, s, "hi")
	queuelab.Receive(t, l, "HI")
	r.want(t, 1)
	if partial == 0 {
		t.Error("the checksum was complete")
	}
}
