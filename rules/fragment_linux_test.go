// SPDX-License-Identifier: GPL-2.0-or-later

package rules_test

import (
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"golang.org/x/sys/unix"
)

// fragment returns an IPv4 or IPv6 fragment, at an offset in units of 8 bytes.
func fragment(from, to netip.Addr, protocol nfqueue.Protocol, offset uint16, more bool,
	data []byte) []byte {
	var flags byte
	if from.Is4() {
		if more {
			flags = 0x20
		}
		b := []byte{0x45, 0, 0, byte(20 + len(data)), 0x12, 0x34, flags | byte(offset>>8),
			byte(offset), 64, byte(protocol), 0, 0}
		b = append(append(b, from.AsSlice()...), to.AsSlice()...) // the kernel does the checksum
		return append(b, data...)
	}
	if more {
		flags = 1
	}
	b := []byte{0x60, 0, 0, 0, 0, byte(8 + len(data)), unix.IPPROTO_FRAGMENT, 64}
	b = append(append(b, from.AsSlice()...), to.AsSlice()...)
	b = append(b, byte(protocol), 0, byte(offset>>5), byte(offset<<3)|flags, 0, 0, 0x12, 0x34)
	return append(b, data...)
}

// sendRaw sends an IP packet with its header.
func sendRaw(t *testing.T, h *netlab.Host, to netip.Addr, packet []byte) {
	t.Helper()
	labtest.Must(t, trySendRaw(h, to, packet))
}

// trySendRaw is sendRaw for a packet that the host may drop itself.
func trySendRaw(h *netlab.Host, to netip.Addr, packet []byte) error {
	return h.Do(func() error {
		family := unix.AF_INET
		var address unix.Sockaddr = &unix.SockaddrInet4{Addr: [4]byte(to.AsSlice()[:4])}
		if to.Is6() {
			family, address = unix.AF_INET6, &unix.SockaddrInet6{Addr: to.As16()}
		}
		fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Sendto(fd, packet, 0, address)
	})
}

// TestFragments: what matches ports or an ICMP type matches first fragments, and no later ones,
// which may have anything where a first one has its ports.
func TestFragments(t *testing.T) {
	n := labtest.Routed(t)
	v4, v6 := families(n)["IPv4"], families(n)["IPv6"]
	ports := []byte{0x00, 0x35, 0x13, 0x89, 0, 8, 0, 0} // 53, 5001
	for _, c := range []struct {
		rule     string
		ends     ends
		protocol nfqueue.Protocol
		data     []byte
		want     int64
	}{
		{"udp sport 0-53", v4, nfqueue.UDP, ports, 1},
		{"udp sport 54-65535", v4, nfqueue.UDP, ports, 0},
		{"udp port 5001", v4, nfqueue.UDP, ports, 1},
		{"tcp dport 1-65535", v4, nfqueue.TCP, ports, 1},
		{"icmp type 8", v4, nfqueue.ICMP, []byte{8, 0, 0, 0, 0, 0, 0, 0}, 1},
		{"udp sport 0-53", v6, nfqueue.UDP, ports, 1},
		{"udp sport 54-65535", v6, nfqueue.UDP, ports, 0},
		{"ip6 udp sport 0-65535", v6, nfqueue.UDP, ports, 1},
		{"udp not sport 54", v4, nfqueue.UDP, ports, 1},
		{"udp not dport 54,80", v4, nfqueue.UDP, ports, 1},
		{"udp not port 54", v6, nfqueue.UDP, ports, 1},
		{"udp not port 53,80", v6, nfqueue.UDP, ports, 0},
		{"udp sport 50-52,53,80", v6, nfqueue.UDP, ports, 1},
		{"icmp not type 13", v4, nfqueue.ICMP, []byte{8, 0, 0, 0, 0, 0, 0, 0}, 1},
		{"not tcp", v6, nfqueue.UDP, ports, 2},
		{"udp", v6, nfqueue.UDP, ports, 2},
		{"udp", v4, nfqueue.UDP, ports, 2},
		{"icmpv6 type echo-request", v6, nfqueue.ICMPv6, []byte{128, 0, 0, 0, 0, 0, 0, 0}, 1},
	} {
		t.Run(c.rule+" "+c.ends.to.Addr().String(), func(t *testing.T) {
			labtest.Install(t, n.Middle, "forward "+c.rule, "forward udp dport 2000")
			var got atomic.Int64
			serve(t, n.Middle, 0, func(p *nfqueue.Packet) nfqueue.Verdict {
				if f, ok := p.Flow(); ok && f.Fragment {
					got.Add(1)
				}
				return nfqueue.Accept
			})
			from, to := c.ends.from.Addr(), c.ends.to.Addr()
			for _, offset := range []uint16{0x101, 0} {
				sendRaw(t, n.Client, to, fragment(from, to, c.protocol, offset, true, c.data))
			}
			u, v := c.ends.anew(2000).datagrams(t, n)
			if _, err := u.Write(plain); err != nil { // through the same queue, behind them
				t.Fatal(err)
			}
			wantReceived(t, v, plain)
			if got := got.Load(); got != c.want {
				t.Errorf("%d fragments were queued, want %d", got, c.want)
			}
		})
	}
}
