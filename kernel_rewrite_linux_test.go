// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue_test

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
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
		{"longer, in place", "hello", "hello, world", func(b []byte, data int) []byte { return append(b, ", world"...) }},
		{"shorter, in place", "hello, world", "hello", func(b []byte, data int) []byte { return b[:len(b)-len(", world")] }},
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
			return &netlab.Network{Client: h, Server: h, Server4: localhost, Server6: netip.IPv6Loopback()}, netlab.Output, h
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
	for _, f := range families {
		for _, way := range ways {
			for _, noGSO := range []bool{false, true} {
				t.Run(f.name+"/"+way.name+map[bool]string{false: "/GSO", true: "/NoGSO"}[noGSO], func(t *testing.T) {
					n, hook, h := way.lab(t)
					to := netip.AddrPortFrom(f.server(n), port)
					queueUDP(t, labtest.Chain(t, h, f.rules, hook, 0), netlab.Queue{Num: 1})
					r := rewrite(t, h, nfqueue.Config{Queue: 1, NoGSO: noGSO}, func(p *nfqueue.Packet) []byte {
						return edits[p.ID()-1].edit(p.Payload(), udpData(p))
					})
					l, c := listenUDP(t, n.Server, to), dialUDP(t, n.Client, to)
					for _, e := range edits {
						t.Log(e.name)
						send(t, c, e.from)
						receive(t, l, e.to)
					}
					r.want(t, int64(len(edits)))
				})
			}
		}
	}
}

// TestRefusedPayloads: what cannot go out leaves the packet as it was.
func TestRefusedPayloads(t *testing.T) {
	lab := newVerdictLab(t, netlab.IP, localhost)
	queueUDP(t, lab.queueing, netlab.Queue{Num: 1})
	serve(t, lab.Host, nfqueue.Config{Queue: 1}, func(p *nfqueue.Packet) nfqueue.Verdict {
		for _, b := range [][]byte{nil, {}, make([]byte, nfqueue.MaxPayload+1), []byte("not a packet"), p.Payload()[:19], p.Payload()[:27]} {
			if err := p.SetPayload(b); err == nil {
				t.Errorf("SetPayload took %d bytes", len(b))
			}
		}
		return nfqueue.Accept
	})
	lab.in("as it was")
	lab.out(t, "as it was")
}
