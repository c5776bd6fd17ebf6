// SPDX-License-Identifier: GPL-2.0-or-later

package rewrite_test

import (
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// rewriter serves a queue, replaces payloads and counts them.
type rewriter struct {
	*nfqueue.Queue
	replaced atomic.Int64
}

// rewrite replaces each packet of a queue by the result of edit, unless that is nil. A second
// implementation of the protocols checks the result of SetPayload.
func rewrite(t *testing.T, h *netlab.Host, cfg nfqueue.Config,
	edit func(p *nfqueue.Packet) []byte) *rewriter {
	t.Helper()
	labtest.NeedReplace(t)
	r := new(rewriter)
	r.Queue = queuelab.Serve(t, h, cfg, func(p *nfqueue.Packet) nfqueue.Verdict {
		if b := edit(p); b != nil {
			if err := p.SetPayload(b); err != nil {
				t.Error(err)
			}
			sound(t, p.Payload())
			r.replaced.Add(1)
		}
		return nfqueue.Accept
	})
	return r
}

// want ends the queue and checks that at least n packets were replaced, and that every verdict had
// its effect.
func (r *rewriter) want(t *testing.T, n int64) {
	t.Helper()
	queuelab.Stop(t, r.Queue)
	if got := r.replaced.Load(); got < n {
		t.Errorf("%d packets were replaced, want at least %d", got, n)
	}
	if s := r.Stats(); s.Accepted != s.Received || s.Refused != 0 || s.Unsent != 0 || s.TooLate != 0 {
		t.Errorf("%+v", s)
	}
}

// sound checks lengths and checksums of a packet with gopacket.
func sound(t *testing.T, b []byte) {
	t.Helper()
	first := layers.LayerTypeIPv4
	if b[0]>>4 == 6 {
		first = layers.LayerTypeIPv6
	}
	p := gopacket.NewPacket(b, first, gopacket.NoCopy)
	if p.ErrorLayer() != nil || p.Metadata().Truncated {
		t.Errorf("gopacket finds an error in %x: %v", b[:min(len(b), 128)], p.ErrorLayer())
		return
	}
	for _, l := range p.Layers() {
		if l, ok := l.(interface {
			SetNetworkLayerForChecksum(gopacket.NetworkLayer) error
		}); ok {
			labtest.Must(t, l.SetNetworkLayerForChecksum(p.NetworkLayer()))
		}
	}
	if err, wrong := p.VerifyChecksums(); err != nil || len(wrong) != 0 {
		t.Errorf("gopacket finds wrong checksums in %x: %v, %v", b[:min(len(b), 128)], wrong, err)
	}
	n := len(b)
	switch ip := p.NetworkLayer().(type) {
	case *layers.IPv4:
		n = int(ip.Length)
	case *layers.IPv6:
		n = 40 + int(ip.Length)
	}
	if u, ok := p.TransportLayer().(*layers.UDP); n != len(b) || ok &&
		int(u.Length) != len(u.Contents)+len(u.Payload) {
		t.Errorf("wrong lengths in %x", b[:min(len(b), 128)])
	}
}

// tcpData returns where the data of a TCP segment without extension headers start.
func tcpData(b []byte) int {
	at := 40
	if b[0]>>4 == 4 {
		at = int(b[0]&0xf) * 4
	}
	return at + int(b[at+12]>>4)*4
}

// way is a path of packets from a client to a server.
type way struct {
	name string
	make func(*testing.T) *netlab.Network
}

// overVeth and overLoopback are paths between sockets. lo gets an MTU with which its largest
// packets fit into a verdict; with its usual MTU of 65536 they do not.
var (
	overVeth     = way{"veth", func(t *testing.T) *netlab.Network { return labtest.Pair(t) }}
	overLoopback = way{"loopback", func(t *testing.T) *netlab.Network {
		h := labtest.Host(t)
		labtest.Must(t, h.SetMTU("lo", 16384))
		return &netlab.Network{
			Client: h, Server: h,
			Client4: queuelab.Localhost, Server4: queuelab.Localhost, Client6: netip.IPv6Loopback(),
			Server6: netip.IPv6Loopback(),
		}
	}}
)

// everyWay runs a test for IPv4 and IPv6, over veth and loopback, and with GSO on and off.
func everyWay(t *testing.T, test func(t *testing.T, n *netlab.Network, rules netlab.Family,
	server netip.Addr, cfg nfqueue.Config)) {
	for _, f := range queuelab.Families {
		for _, w := range []way{overVeth, overLoopback} {
			for _, flags := range []nfqueue.Flags{0, nfqueue.NoGSO} {
				noGSO := flags == nfqueue.NoGSO
				name := f.Name + "/" + w.name + map[bool]string{false: "/GSO", true: "/NoGSO"}[noGSO]
				t.Run(name, func(t *testing.T) {
					n := w.make(t)
					test(t, n, f.Rules, f.Server(n), nfqueue.Config{Queue: 1, Flags: flags})
				})
			}
		}
	}
}
