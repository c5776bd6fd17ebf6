// SPDX-License-Identifier: GPL-2.0-or-later

package rewrite_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"net"
	"net/netip"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
	"golang.org/x/sys/unix"
)

const (
	sctpProtocol    = 132 // IPPROTO_SCTP
	udpLiteProtocol = 136 // IPPROTO_UDPLITE
)

// udpLite makes a socket of UDP-Lite in a host, connected if to is valid, bound if at is.
func udpLite(t *testing.T, h *netlab.Host, at, to netip.AddrPort) *net.UDPConn {
	t.Helper()
	c, err := netlab.In(h, func() (net.PacketConn, error) {
		family := unix.AF_INET
		if at.Addr().Is6() || to.Addr().Is6() {
			family = unix.AF_INET6
		}
		fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, udpLiteProtocol)
		if err != nil {
			return nil, err
		}
		f := os.NewFile(uintptr(fd), "udplite")
		defer f.Close()
		if at.IsValid() {
			err = unix.Bind(fd, sockaddr(at))
		} else {
			err = unix.Connect(fd, sockaddr(to))
		}
		if err != nil {
			return nil, err
		}
		return net.FilePacketConn(f)
	})
	if errors.Is(err, unix.EPROTONOSUPPORT) {
		t.Skip("the kernel has no UDP-Lite")
	}
	labtest.Must(t, err)
	t.Cleanup(func() { c.Close() })
	labtest.Must(t, c.SetDeadline(time.Now().Add(queuelab.Patience)))
	return c.(*net.UDPConn)
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

// TestRewriteUDPLite changes datagrams whose checksum covers all of the data or a part.
func TestRewriteUDPLite(t *testing.T) {
	const sendCoverage = 10 // UDPLITE_SEND_CSCOV
	for _, f := range queuelab.Families {
		for _, coverage := range []int{0, 8, 13} {
			t.Run(f.Name+"/coverage "+strconv.Itoa(coverage), func(t *testing.T) {
				n := labtest.Pair(t)
				to := netip.AddrPortFrom(f.Server(n), queuelab.Port)
				l := udpLite(t, n.Server, to, netip.AddrPort{})
				c := udpLite(t, n.Client, netip.AddrPort{}, to)
				raw, err := c.SyscallConn()
				labtest.Must(t, err)
				var set error
				labtest.Must(t, raw.Control(func(fd uintptr) {
					set = unix.SetsockoptInt(int(fd), udpLiteProtocol, sendCoverage, coverage)
				}))
				labtest.Must(t, set)
				chain := labtest.Chain(t, n.Client, f.Rules, netlab.Output, 0)
				labtest.Rule(t, chain, netlab.L4Proto(udpLiteProtocol), netlab.DstPort(queuelab.Port),
					netlab.ToQueue(netlab.Queue{Num: 1}))
				r := rewrite(t, n.Client, nfqueue.Config{Queue: 1}, func(p *nfqueue.Packet) []byte {
					b := p.Payload()
					data := b[queuelab.UDPData(p):]
					copy(data, bytes.ToUpper(data))
					if bytes.HasPrefix(data, []byte("LONG")) {
						return append(b, " than before"...)
					}
					return b[:len(b)-len("er")]
				})
				for _, m := range []struct{ sent, want string }{{"longer", "LONGER than before"},
					{"shorter", "SHORT"}} {
					queuelab.Send(t, c, m.sent)
					queuelab.Receive(t, l, m.want)
				}
				r.want(t, 2)
			})
		}
	}
}

// TestRewriteSCTP changes the length of SCTP packets and computes their checksum once more where
// they arrive. Sockets for all packets of the protocol take the place of an implementation.
func TestRewriteSCTP(t *testing.T) {
	// Ports, a tag and a checksum that is wrong; a DATA chunk with 12 bytes of text.
	const header, data = "\x03\xe8\x07\xd0\xca\xfe\xba\xbejunk",
		"\x00\x03\x00\x1c\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00"
	for _, f := range queuelab.Families {
		t.Run(f.Name, func(t *testing.T) {
			n := labtest.Pair(t)
			network, client := "ip4:132", n.Client4
			if f.Family == nfqueue.FamilyIPv6 {
				network, client = "ip6:132", n.Client6
			}
			listen := func(h *netlab.Host, at netip.Addr) net.PacketConn {
				c, err := netlab.In(h, func() (net.PacketConn, error) { return net.ListenPacket(network, at.String()) })
				labtest.Must(t, err)
				t.Cleanup(func() { c.Close() })
				labtest.Must(t, c.SetDeadline(time.Now().Add(queuelab.Patience)))
				return c
			}
			chain := labtest.Chain(t, n.Client, f.Rules, netlab.Output, 0)
			labtest.Rule(t, chain, netlab.L4Proto(sctpProtocol), netlab.ToQueue(netlab.Queue{Num: 1}))
			r := rewrite(t, n.Client, nfqueue.Config{Queue: 1}, func(p *nfqueue.Packet) []byte {
				b := p.Payload()
				chunk := bytes.Index(b, []byte(header)) + len(header)
				if bytes.HasSuffix(b, []byte("for now")) {
					b = append(b, ", and longer"...)
				} else {
					b = b[:len(b)-len(" shorter")]
				}
				binary.BigEndian.PutUint16(b[chunk+2:], uint16(len(b)-chunk))
				return b
			})
			s, c := listen(n.Server, f.Server(n)), listen(n.Client, client)
			for _, m := range []struct{ sent, want string }{{"text for now", "text for now, and longer"},
				{"text shorter", "text"}} {
				_, err := c.WriteTo([]byte(header+data+m.sent), &net.IPAddr{IP: f.Server(n).AsSlice()})
				labtest.Must(t, err)
				b := make([]byte, 100)
				k, _, err := s.ReadFrom(b)
				labtest.Must(t, err)
				b = b[:k]
				if string(b[:8]) != header[:8] || string(b[len(header)+len(data):]) != m.want {
					t.Fatalf("received %q, want %q", b, m.want)
				}
				sum := binary.LittleEndian.Uint32(b[8:])
				clear(b[8:12])
				if want := crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)); sum != want {
					t.Errorf("checksum %#08x of %q, want %#08x", sum, m.want, want)
				}
			}
			r.want(t, 2)
		})
	}
}
