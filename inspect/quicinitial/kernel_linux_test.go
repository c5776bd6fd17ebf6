// SPDX-License-Identifier: GPL-2.0-or-later

package quicinitial

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/connection"
	"github.com/chifflier/nfqueue-go/inspect"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/rules"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { labtest.Main(m) }

const (
	blockedName = "ads.example"
	patience    = 20 * time.Second
)

// bigMessage is a ClientHello that needs three datagrams. The name comes last.
func bigMessage(name string) []byte {
	prefixed := func(b []byte) []byte {
		return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)
	}
	ext := append([]byte{0, 21}, prefixed(make([]byte, 2500))...) // padding
	ext = append(ext, 0, 0)
	ext = append(ext, prefixed(prefixed(append([]byte{0}, prefixed([]byte(name))...)))...)
	body := append([]byte{3, 3}, make([]byte, 32)...)
	body = append(body, 0, 0, 2, 0x13, 1, 1, 0)
	body = append(body, prefixed(ext)...)
	return append([]byte{1, 0, byte(len(body) >> 8), byte(len(body))}, body...)
}

// decide rejects a name.
func decide(c *connection.Conn) connection.Answer {
	hello, status := Parse(c.Datagrams(connection.Original))
	switch {
	case status == inspect.More:
		return connection.More
	case status == inspect.Complete && string(hello.ServerName) != blockedName:
		return connection.Accept
	}
	return connection.Reject
}

// Of a hello in three datagrams, in any order, the server sees all for an allowed name. For a
// blocked one it sees none, and the client's read fails at once.
func TestKernel(t *testing.T) {
	n := labtest.Routed(t)
	q, err := nfqueue.Open(nfqueue.Config{NetNS: n.Middle.FD()})
	labtest.Must(t, err)
	set := labtest.Install(t, n.Middle, "forward udp port 443 offload")
	tr := connection.New(connection.Config{Hold: true, Offload: rules.DefaultOffload},
		connection.HandlerFunc(decide))
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- q.Serve(ctx, tr) }()
	t.Cleanup(func() {
		labtest.Must(t, set.Close())
		cancel()
		labtest.Must(t, <-served)
	})

	// The kernel sends few ICMP errors a second otherwise.
	labtest.Must(t, n.Middle.SetSysctl("ipv4/icmp_ratelimit", "0"))
	labtest.Must(t, n.Middle.SetSysctl("ipv6/icmp/ratelimit", "0"))
	port := 5000
	orders := [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}}
	for addr, from := range map[netip.Addr]netip.Addr{n.Server4: n.Client4, n.Server6: n.Client6} {
		at := netip.AddrPortFrom(addr, 443)
		s, err := netlab.In(n.Server, func() (*net.UDPConn, error) {
			return net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
		})
		labtest.Must(t, err)
		defer s.Close()
		for _, name := range []string{blockedName, "www.example"} {
			for i := range versions {
				m := bigMessage(name)
				var datagrams [3][]byte
				for j := range datagrams {
					from, to := j*len(m)/3, (j+1)*len(m)/3
					datagrams[j] = seal(t, &versions[i], id, id, byte(j), frame(from, m[from:to]), 1250)
				}
				for _, order := range orders {
					port++
					local := net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, uint16(port)))
					c, err := netlab.In(n.Client, func() (net.Conn, error) {
						return net.DialUDP("udp", local, net.UDPAddrFromAddrPort(at))
					})
					labtest.Must(t, err)
					for _, j := range order {
						_, err := c.Write(datagrams[j])
						labtest.Must(t, err)
					}
					b := make([]byte, 2000)
					if name == blockedName {
						labtest.Must(t, c.SetReadDeadline(time.Now().Add(patience)))
						if _, err := c.Read(b); !errors.Is(err, unix.ECONNREFUSED) {
							t.Errorf("%v, version %x, order %v: the client reads %v", addr,
								versions[i].number, order, err)
						}
					} else {
						labtest.Must(t, s.SetReadDeadline(time.Now().Add(patience)))
						var got [][]byte
						for range order { // nothing of the blocked ones before has come first
							k, from, err := s.ReadFromUDPAddrPort(b)
							labtest.Must(t, err)
							if from.Port() != c.LocalAddr().(*net.UDPAddr).AddrPort().Port() {
								t.Errorf("%v: a blocked hello arrived", addr)
							}
							got = append(got, slices.Clone(b[:k]))
						}
						for j, g := range got {
							if !bytes.Equal(g, datagrams[order[j]]) {
								t.Errorf("%v, version %x, order %v: datagram %d differs", addr,
									versions[i].number, order, j)
							}
						}
					}
					c.Close()
				}
			}
		}
	}
	each := uint64(2 * len(versions) * len(orders))
	if s := tr.Stats(); s.Accepted != each || s.Rejected != each || s.Held != 0 {
		t.Errorf("%+v", s)
	}
}
