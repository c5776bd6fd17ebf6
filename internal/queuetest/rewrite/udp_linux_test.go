// SPDX-License-Identifier: GPL-2.0-or-later

package rewrite_test

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
	"golang.org/x/sys/unix"
)

// setOption sets an option of a socket to bytes.
func setOption(t *testing.T, c *net.UDPConn, level, option int, value string) {
	t.Helper()
	raw, err := c.SyscallConn()
	labtest.Must(t, err)
	var set error
	labtest.Must(t, raw.Control(func(fd uintptr) { set = unix.SetsockoptString(int(fd), level, option, value) }))
	labtest.Must(t, set)
}

// TestRewriteUDPSegments changes datagrams that are sent as one super-packet, which the kernel cuts
// in front of the queue or behind it.
func TestRewriteUDPSegments(t *testing.T) {
	labtest.NeedReplace(t)
	everyWay(t, func(t *testing.T, n *netlab.Network, rules netlab.Family, server netip.Addr,
		cfg nfqueue.Config) {
		queuelab.QueueUDP(t, labtest.Chain(t, n.Client, rules, netlab.Output, 0), netlab.Queue{Num: 1})
		refused := cfg.Flags&nfqueue.NoGSO == 0 && !labtest.AtLeast(t, 6, 12)
		r := new(rewriter)
		r.Queue = queuelab.Serve(t, n.Client, cfg, func(p *nfqueue.Packet) nfqueue.Verdict {
			b := append(p.Payload(), "a bit more"...)
			copy(b[queuelab.UDPData(p):], bytes.ToUpper(b[queuelab.UDPData(p):]))
			err := p.SetPayload(b)
			if refused {
				if raw := p.SetPayloadRaw(b); !errors.Is(err, errors.ErrUnsupported) ||
					!errors.Is(raw, errors.ErrUnsupported) {
					t.Errorf("SetPayload: %v, SetPayloadRaw: %v", err, raw)
				}
			} else if err != nil {
				t.Error(err)
			}
			r.replaced.Add(1)
			if (cfg.Flags&nfqueue.NoGSO != 0) == (p.SKBInfo()&nfqueue.SegmentationPending != 0) {
				t.Errorf("%v", p.SKBInfo())
			}
			return nfqueue.Accept
		})
		sent := []string{strings.Repeat("a", udpSegment), strings.Repeat("b", udpSegment), "last"}
		want := []string{strings.Repeat("A", udpSegment), strings.Repeat("B", udpSegment),
			"LASTA BIT MORE"}
		if refused {
			want = sent
		} else if cfg.Flags&nfqueue.NoGSO != 0 { // a packet for each
			for i := range want {
				want[i] = strings.ToUpper(sent[i] + "a bit more")
			}
		}
		l := queuelab.ListenUDP(t, n.Server, netip.AddrPortFrom(server, queuelab.Port))
		sendSegments(t, queuelab.DialUDP(t, n.Client, netip.AddrPortFrom(server, queuelab.Port)), sent)
		queuelab.Receive(t, l, want...)
		r.want(t, 1)
	})
}

// TestRefusedUDPSegments: a super-packet at the input hook cannot be replaced, and passes
// unchanged.
func TestRefusedUDPSegments(t *testing.T) {
	for _, f := range queuelab.Families {
		t.Run(f.Name, func(t *testing.T) {
			n := labtest.Pair(t)
			queuelab.QueueUDP(t, labtest.Chain(t, n.Server, f.Rules, netlab.Input, 0), netlab.Queue{Num: 1})
			refused := 0
			q := queuelab.Serve(t, n.Server, nfqueue.Config{Queue: 1},
				func(p *nfqueue.Packet) nfqueue.Verdict {
					if p.SKBInfo()&nfqueue.SegmentationPending == 0 {
						return nfqueue.Accept
					}
					b := bytes.Clone(p.Payload())
					copy(b[queuelab.UDPData(p):], bytes.ToLower(b[queuelab.UDPData(p):]))
					if err := p.SetPayload(b); !errors.Is(err, errors.ErrUnsupported) {
						t.Errorf("SetPayload: %v", err)
					}
					refused++
					return nfqueue.Accept
				})
			sent := []string{strings.Repeat("A", udpSegment), strings.Repeat("B", udpSegment), "LAST"}
			l := queuelab.ListenUDP(t, n.Server, netip.AddrPortFrom(f.Server(n), queuelab.Port))
			sendSegments(t, queuelab.DialUDP(t, n.Client, netip.AddrPortFrom(f.Server(n), queuelab.Port)),
				sent)
			queuelab.Receive(t, l, sent...)
			queuelab.Stop(t, q)
			if refused == 0 && labtest.AtLeast(t, 6, 1) { // before, the kernel may cut it in front of the queue
				t.Error("no super-packet came in")
			}
		})
	}
}

// udpSegment is the size of the datagrams that sendSegments makes of its data.
const udpSegment = 1000

// sendSegments sends datagrams, all but the last of udpSegment bytes, with one call.
func sendSegments(t *testing.T, c *net.UDPConn, datagrams []string) {
	t.Helper()
	raw, err := c.SyscallConn()
	labtest.Must(t, err)
	var set error
	labtest.Must(t, raw.Control(func(fd uintptr) { set = unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_SEGMENT, udpSegment) }))
	labtest.Must(t, set)
	queuelab.Send(t, c, strings.Join(datagrams, ""))
}

// TestRewriteBehindOptions changes the length of datagrams with IPv4 options or IPv6 extension
// headers, which the kernel has made.
func TestRewriteBehindOptions(t *testing.T) {
	const hopByHop, destination = "\x00\x00\x05\x02\x00\x00\x01\x00", "\x00\x00\x1e\x041234"
	for _, c := range []struct {
		name          string
		server        func(*netlab.Network) netip.Addr
		rules         netlab.Family
		level, option int
		value         string
	}{
		{"record route", queuelab.Families[0].Server, netlab.IP, unix.IPPROTO_IP, unix.IP_OPTIONS,
			"\x07\x0b\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00"},
		{"hop-by-hop options", queuelab.Families[1].Server, netlab.IP6, unix.IPPROTO_IPV6,
			unix.IPV6_HOPOPTS, hopByHop},
		{"destination options", queuelab.Families[1].Server, netlab.IP6, unix.IPPROTO_IPV6,
			unix.IPV6_DSTOPTS, destination},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := labtest.Pair(t)
			to := netip.AddrPortFrom(c.server(n), queuelab.Port)
			queuelab.QueueUDP(t, labtest.Chain(t, n.Client, c.rules, netlab.Output, 0), netlab.Queue{Num: 1})
			headers := 0
			r := rewrite(t, n.Client, nfqueue.Config{Queue: 1}, func(p *nfqueue.Packet) []byte {
				b := p.Payload()
				headers = bytes.Index(b, []byte("text"))
				if bytes.HasSuffix(b, []byte("longer")) {
					return append(b, " than before"...)
				}
				return b[:len(b)-len(" shorter")]
			})
			l, s := queuelab.ListenUDP(t, n.Server, to), queuelab.DialUDP(t, n.Client, to)
			setOption(t, s, c.level, c.option, c.value)
			queuelab.Send(t, s, "text longer", "text shorter")
			queuelab.Receive(t, l, "text longer than before", "text")
			r.want(t, 2)
			plain := 28
			if c.rules == netlab.IP6 {
				plain = 48
			}
			if headers != plain+len(c.value) {
				t.Errorf("headers of %d bytes, want %d with options", headers, plain+len(c.value))
			}
		})
	}
}

// TestRewriteFragments changes the data of fragments so that the checksum of the datagram, which
// is in the first of them, stays right, and their headers. The receiver puts them together.
func TestRewriteFragments(t *testing.T) {
	for _, f := range queuelab.Families {
		t.Run(f.Name, func(t *testing.T) {
			n := labtest.Routed(t)
			to := netip.AddrPortFrom(f.Server(n), queuelab.Port)
			chain := labtest.Chain(t, n.Middle, f.Rules, netlab.Forward, 0)
			labtest.Rule(t, chain, netlab.InDevName(netlab.ToClient), netlab.ToQueue(netlab.Queue{Num: 1}))
			r := rewrite(t, n.Middle, nfqueue.Config{Queue: 1}, func(p *nfqueue.Packet) []byte {
				flow, ok := p.Flow()
				if !ok || flow.Protocol != queuelab.UDP || !flow.Fragment {
					return nil
				}
				b := p.Payload()
				head, hops := 20, 8
				if f.Family == nfqueue.FamilyIPv6 {
					head, hops = 40+8, 7
				}
				b[hops]-- // in IPv4, the checksum of the header covers it
				if !flow.NoTransport {
					head += 8
				}
				swapWords(b[head:])
				return b
			})
			l, c := queuelab.ListenUDP(t, n.Server, to), queuelab.DialUDP(t, n.Client, to)
			data := []byte(strings.Repeat("0123456789ab", 400))
			want := bytes.Clone(data)
			swapWords(want)
			queuelab.Send(t, c, string(data))
			queuelab.Receive(t, l, string(want))
			r.want(t, 4)
		})
	}
}

// swapWords exchanges the halves of each 4 bytes.
func swapWords(b []byte) {
	for i := 0; i+4 <= len(b); i += 4 {
		b[i], b[i+1], b[i+2], b[i+3] = b[i+2], b[i+3], b[i], b[i+1]
	}
}

// TestRawPayload sends bytes that are no valid packet, and checks that all of them arrive.
func TestRawPayload(t *testing.T) {
	labtest.NeedReplace(t)
	for _, f := range queuelab.Families {
		t.Run(f.Name, func(t *testing.T) {
			n := labtest.Pair(t)
			queuelab.QueueUDP(t, labtest.Chain(t, n.Client, f.Rules, netlab.Output, 0), netlab.Queue{Num: 1})
			queuelab.Serve(t, n.Client, nfqueue.Config{Queue: 1}, func(p *nfqueue.Packet) nfqueue.Verdict {
				b := p.Payload()
				copy(b[queuelab.UDPData(p)-4:], "\x00\x63\xba\xadraw") // a length and a checksum that are wrong
				if err := p.SetPayloadRaw(b); err != nil {
					t.Error(err)
				}
				return nfqueue.Accept
			})
			network := map[bool]string{true: "ip4:17", false: "ip6:17"}[f.Rules == netlab.IP]
			l, err := netlab.In(n.Server, func() (net.PacketConn, error) { return net.ListenPacket(network, f.Server(n).String()) })
			labtest.Must(t, err)
			defer l.Close()
			labtest.Must(t, l.SetDeadline(time.Now().Add(queuelab.Patience)))
			queuelab.Send(t, queuelab.DialUDP(t, n.Client, netip.AddrPortFrom(f.Server(n), queuelab.Port)),
				"text")
			b := make([]byte, 100)
			k, _, err := l.ReadFrom(b)
			labtest.Must(t, err)
			if want := "\x0f\xa0\x00\x63\xba\xadrawt"; string(b[2:k]) != want {
				t.Errorf("received %q, want %q", b[2:k], want)
			}
		})
	}
}
