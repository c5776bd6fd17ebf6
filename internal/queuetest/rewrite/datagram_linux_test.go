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
)

// TestRewriteUDP alters datagrams and checks what the receiver gets. Its kernel
// discards those with a wrong checksum or length.
func TestRewriteUDP(t *testing.T) {
	labtest.NeedReplace(t)
	long := strings.Repeat("x", 1300)
	edits := []struct {
		name, from, to string
		edit           func(b []byte, data int) []byte
	}{
		{"in place", "hello", "HELLO", func(b []byte, data int) []byte {
			copy(b[data:], bytes.ToUpper(b[data:]))
			return b
		}},
		{"longer, in place", "hello", "hello, world",
			func(b []byte, data int) []byte { return append(b, ", world"...) }},
		{"shorter, in place", "hello, world", "hello",
			func(b []byte, data int) []byte { return b[:len(b)-len(", world")] }},
		{"no data left", "hello", "", func(b []byte, data int) []byte { return b[:data] }},
		{"another slice", "hello", "replaced", func(b []byte, data int) []byte {
			return append(bytes.Clone(b[:data]), "replaced"...)
		}},
		{"much longer", "hello", long, func(b []byte, data int) []byte {
			return append(bytes.Clone(b[:data]), long...)
		}},
		{"unchanged", "hello", "hello", func(b []byte, data int) []byte { return bytes.Clone(b) }},
	}
	ways := []struct {
		name string
		lab  func(*testing.T) (*netlab.Network, netlab.Hook, *netlab.Host)
	}{
		{"loopback", func(t *testing.T) (*netlab.Network, netlab.Hook, *netlab.Host) {
			h := labtest.Host(t)
			return &netlab.Network{Client: h, Server: h, Server4: queuelab.Localhost,
				Server6: netip.IPv6Loopback()}, netlab.Output, h
		}},
		{"veth", func(t *testing.T) (*netlab.Network, netlab.Hook, *netlab.Host) {
			n := labtest.Pair(t)
			return n, netlab.Output, n.Client
		}},
		{"forwarded", func(t *testing.T) (*netlab.Network, netlab.Hook, *netlab.Host) {
			n := labtest.Routed(t)
			return n, netlab.Forward, n.Middle
		}},
	}
	for _, f := range queuelab.Families {
		for _, way := range ways {
			for _, flags := range []nfqueue.Flags{0, nfqueue.NoGSO} {
				noGSO := flags == nfqueue.NoGSO
				t.Run(f.Name+"/"+way.name+map[bool]string{false: "/GSO", true: "/NoGSO"}[noGSO],
					func(t *testing.T) {
						n, hook, h := way.lab(t)
						to := netip.AddrPortFrom(f.Server(n), queuelab.Port)
						queuelab.QueueUDP(t, labtest.Chain(t, h, f.Rules, hook, 0), netlab.Queue{Num: 1})
						r := rewrite(t, h, nfqueue.Config{Queue: 1, Flags: flags}, func(p *nfqueue.Packet) []byte {
							return edits[p.ID()-1].edit(p.Payload(), queuelab.UDPData(p))
						})
						l, c := queuelab.ListenUDP(t, n.Server, to), queuelab.DialUDP(t, n.Client, to)
						for _, e := range edits {
							t.Log(e.name)
							queuelab.Send(t, c, e.from)
							queuelab.Receive(t, l, e.to)
						}
						r.want(t, int64(len(edits)))
					})
			}
		}
	}
}

// TestRefusedPayloads: a payload that is refused leaves the packet as it was.
func TestRefusedPayloads(t *testing.T) {
	lab := queuelab.NewVerdictLab(t, netlab.IP, queuelab.Localhost)
	queuelab.QueueUDP(t, lab.Queueing, netlab.Queue{Num: 1})
	queuelab.Serve(t, lab.Host, nfqueue.Config{Queue: 1}, func(p *nfqueue.Packet) nfqueue.Verdict {
		for _, b := range [][]byte{nil, {}, make([]byte, nfqueue.MaxPayload+1), []byte("not a packet"),
			p.Payload()[:19], p.Payload()[:27]} {
			if err := p.SetPayload(b); err == nil {
				t.Errorf("SetPayload took %d bytes", len(b))
			}
		}
		return nfqueue.Accept
	})
	lab.In("as it was")
	lab.Out(t, "as it was")
}
