// SPDX-License-Identifier: GPL-2.0-or-later

package rewrite_test

import (
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"golang.org/x/sys/unix"
)

// hookLab returns a network, new for each test or shared, and the host on which packets from client
// to server pass a hook.
func hookLab(t *testing.T, hook nfqueue.Hook) (*netlab.Network, *netlab.Host) {
	t.Helper()
	switch hook {
	case nfqueue.HookForward:
		n := labtest.Routed(t)
		return n, n.Middle
	case nfqueue.HookPrerouting, nfqueue.HookInput:
		n := labtest.Pair(t)
		return n, n.Server
	}
	n := labtest.Pair(t)
	return n, n.Client
}

var netlabHooks = [...]netlab.Hook{
	netlab.Prerouting, netlab.Input, netlab.Forward, netlab.Output, netlab.Postrouting,
}

// TestRewriteOtherVersion: a packet of the other IP version is refused at every hook, and the
// packet arrives as it was.
func TestRewriteOtherVersion(t *testing.T) {
	labtest.NeedReplace(t)
	other := func(p *nfqueue.Packet, n *netlab.Network) []byte {
		udp := &layers.UDP{SrcPort: 1, DstPort: queuelab.Port}
		var ip gopacket.SerializableLayer
		if p.Family() == nfqueue.FamilyIPv4 {
			v6 := &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolUDP,
				SrcIP: n.Client6.AsSlice(), DstIP: n.Server6.AsSlice()}
			labtest.Must(t, udp.SetNetworkLayerForChecksum(v6))
			ip = v6
		} else {
			v4 := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP,
				SrcIP: n.Client4.AsSlice(), DstIP: n.Server4.AsSlice()}
			labtest.Must(t, udp.SetNetworkLayerForChecksum(v4))
			ip = v4
		}
		buf := gopacket.NewSerializeBuffer()
		labtest.Must(t, gopacket.SerializeLayers(buf,
			gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true},
			ip, udp, gopacket.Payload("a datagram that is long enough")))
		return buf.Bytes()
	}
	for hook := nfqueue.HookPrerouting; hook <= nfqueue.HookPostrouting; hook++ {
		for _, f := range queuelab.Families {
			t.Run(f.Name+" at "+hook.String(), func(t *testing.T) {
				n, host := hookLab(t, hook)
				queuelab.QueueUDP(t, labtest.Chain(t, host, f.Rules, netlabHooks[hook], 0),
					netlab.Queue{Num: 1})
				q := queuelab.Serve(t, host, nfqueue.Config{Queue: 1}, func(p *nfqueue.Packet) nfqueue.Verdict {
					if err := p.SetPayload(other(p, n)); err == nil || !strings.Contains(err.Error(),
						"IP version") {
						t.Errorf("SetPayload: %v", err)
					}
					return nfqueue.Accept
				})
				to := netip.AddrPortFrom(f.Server(n), queuelab.Port)
				l, s := queuelab.ListenUDP(t, n.Server, to), queuelab.DialUDP(t, n.Client, to)
				queuelab.Send(t, s, "hi")
				queuelab.Receive(t, l, "hi")
				queuelab.Stop(t, q)
			})
		}
	}
}

// TestRewriteBeyondMTU: a packet that grows beyond the MTU is refused where the kernel would not
// fragment it, and arrives as it was. Elsewhere the longer one arrives.
func TestRewriteBeyondMTU(t *testing.T) {
	labtest.NeedReplace(t)
	text, more := strings.Repeat("a", 1400), strings.Repeat("b", 200) // the MTU is 1500
	ip4, ip6 := queuelab.Families[0], queuelab.Families[1]
	for _, c := range []struct {
		name    string
		six     bool
		hook    nfqueue.Hook
		dontDF  bool // the socket does not set Don't Fragment
		refused bool
	}{
		{"IPv4 at forward", false, nfqueue.HookForward, false, true},
		{"IPv4 at forward, may be fragmented", false, nfqueue.HookForward, true, false},
		{"IPv6 at forward", true, nfqueue.HookForward, false, true},
		{"IPv4 at postrouting, forwarded", false, nfqueue.HookPostrouting, false, true},
		{"IPv6 at postrouting, forwarded", true, nfqueue.HookPostrouting, false, true},
		{"IPv4 at output", false, nfqueue.HookOutput, false, false},
		{"IPv6 at output", true, nfqueue.HookOutput, false, false},
		{"IPv4 at input", false, nfqueue.HookInput, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := ip4
			if c.six {
				f = ip6
			}
			lab := c.hook
			if lab == nfqueue.HookPostrouting {
				lab = nfqueue.HookForward
			}
			n, host := hookLab(t, lab)
			queuelab.QueueUDP(t, labtest.Chain(t, host, f.Rules, netlabHooks[c.hook], 0),
				netlab.Queue{Num: 1})
			q := queuelab.Serve(t, host, nfqueue.Config{Queue: 1}, func(p *nfqueue.Packet) nfqueue.Verdict {
				if err := p.SetPayload(append(p.Payload(), more...)); (err != nil) != c.refused ||
					c.refused && !strings.Contains(err.Error(), "MTU") {
					t.Errorf("SetPayload: %v", err)
				}
				return nfqueue.Accept
			})
			to := netip.AddrPortFrom(f.Server(n), queuelab.Port)
			l, s := queuelab.ListenUDP(t, n.Server, to), queuelab.DialUDP(t, n.Client, to)
			if c.dontDF {
				raw, err := s.SyscallConn()
				labtest.Must(t, err)
				var set error
				labtest.Must(t, raw.Control(func(fd uintptr) {
					set = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DONT)
				}))
				labtest.Must(t, set)
			}
			queuelab.Send(t, s, text)
			want := text
			if !c.refused {
				want += more
			}
			queuelab.Receive(t, l, want)
			queuelab.Stop(t, q)
		})
	}
}

// TestRewriteStreamBeyondMTU: a TCP segment that grows beyond the MTU would be sent again and
// again.
func TestRewriteStreamBeyondMTU(t *testing.T) {
	labtest.NeedReplace(t)
	text := strings.Repeat("a", 1400)
	for _, f := range queuelab.Families {
		for _, hook := range []nfqueue.Hook{nfqueue.HookOutput, nfqueue.HookPostrouting} {
			t.Run(f.Name+" at "+hook.String(), func(t *testing.T) {
				n, host := hookLab(t, hook)
				labtest.Rule(t, labtest.Chain(t, host, f.Rules, netlabHooks[hook], 0),
					netlab.L4Proto(unix.IPPROTO_TCP), netlab.ToQueue(netlab.Queue{Num: 1}))
				refused := 0
				q := queuelab.Serve(t, host, nfqueue.Config{Queue: 1}, func(p *nfqueue.Packet) nfqueue.Verdict {
					if segment, ok := p.Transport(); ok && len(segment.Body) == len(text) {
						err := p.SetBody(append(segment.Body, make([]byte, 200)...))
						if err == nil || !strings.Contains(err.Error(), "MTU") {
							t.Errorf("SetBody: %v", err)
						}
						refused++
					}
					return nfqueue.Accept
				})
				to := netip.AddrPortFrom(f.Server(n), queuelab.Port)
				l, err := netlab.In(n.Server, func() (net.Listener, error) {
					return net.Listen("tcp",
						to.String())
				})
				labtest.Must(t, err)
				t.Cleanup(func() { l.Close() })
				c, err := netlab.In(n.Client, func() (net.Conn, error) { return net.Dial("tcp", to.String()) })
				labtest.Must(t, err)
				t.Cleanup(func() { c.Close() })
				_, err = io.WriteString(c, text)
				labtest.Must(t, err)
				s, err := l.Accept()
				labtest.Must(t, err)
				t.Cleanup(func() { s.Close() })
				labtest.Must(t, s.SetDeadline(time.Now().Add(queuelab.Patience)))
				got := make([]byte, len(text))
				if _, err := io.ReadFull(s, got); err != nil || string(got) != text {
					t.Errorf("%v: %.20q", err, got)
				}
				queuelab.Stop(t, q)
				if refused == 0 {
					t.Error("nothing was refused")
				}
			})
		}
	}
}
