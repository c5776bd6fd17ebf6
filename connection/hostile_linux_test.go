// SPDX-License-Identifier: GPL-2.0-or-later

package connection_test

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/connection"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"golang.org/x/sys/unix"
)

// A client that makes its packets itself gets no bytes to a server but those that the handler
// accepts.
func TestHostileClient(t *testing.T) {
	const first = 1000000
	for name, c := range map[string]struct {
		want string
		say  func(send func([]byte), e ends, ack uint32)
	}{
		"second SYN, higher": {"", func(send func([]byte), e ends, ack uint32) {
			send(e.tcp("S", first+1000, 0, ""))
			send(e.tcp("A", first+1, ack, "bad\n"))
		}},
		"second SYN, lower": {"", func(send func([]byte), e ends, ack uint32) {
			send(e.tcp("S", first-5, 0, ""))
			send(e.tcp("A", first-4, ack, "good\n"))
			send(e.tcp("A", first+1, ack, "bad\n"))
		}},
		"second SYN, after the answer": {"", func(send func([]byte), e ends, ack uint32) {
			send(e.tcp("A", first+1, ack, "bad\n"))
			send(e.tcp("S", first+1000, 0, ""))
			send(e.tcp("A", first+1, ack, "bad\n"))
		}},
		"urgent": {"good\n", func(send func([]byte), e ends, ack uint32) {
			urgent := e.tcp("A", first+1, ack, "")
			h := urgent[len(urgent)-20:]
			h[13] |= 0x20
			h[19] = 1
			// The checksum of the new header.
			binary.BigEndian.PutUint16(h[16:], ^onesSum(^binary.BigEndian.Uint16(h[16:]), 0x21))
			send(urgent)
			send(e.tcp("A", first+1, ack, "good\n"))
		}},
	} {
		for _, six := range []bool{false, true} {
			for _, spoofed := range []bool{false, true} {
				if spoofed && c.want != "" {
					continue
				}
				n := newRouter(t, connection.Config{Hold: true, Timeout: time.Second}, line, nil)
				send, acks, _ := rawClient(t, n.Network)
				e := ends{client: netip.AddrPortFrom(n.Client4, 5000),
					server: netip.AddrPortFrom(n.Server4, 443)}
				if six {
					e = ends{client: netip.AddrPortFrom(n.Client6, 5000),
						server: netip.AddrPortFrom(n.Server6, 443)}
				}
				l := listen(t, n.Network, e.server)
				if spoofed { // the router sends it back to the client
					send(e.reverse().tcp("S", 777, 0, ""))
				}
				send(e.tcp("S", first, 0, ""))
				ack := <-acks
				send(e.tcp("A", first+1, ack, ""))
				s, err := l.Accept()
				labtest.Must(t, err)
				c.say(send, e, ack)
				limit := patience
				if c.want == "" {
					limit = 200 * time.Millisecond
				}
				if got := hears(s, max(len(c.want), 1), limit); got != c.want {
					t.Errorf("%s, IPv6 %v, spoofed SYN first %v: heard %q", name, six, spoofed, got)
				}
				s.Close()
			}
		}
	}
}

// A SYN that the server takes no notice of ends no accepted connection, nor do others behind it. From
// then on it passes packet by packet: no answer of the server tells that it has not ended since.
func TestSpoofedSYN(t *testing.T) {
	n := newRouter(t, connection.Config{Hold: true}, line, nil)
	at := netip.AddrPortFrom(n.Server4, 443)
	c, s := connect(t, n.Network, 0, listen(t, n.Network, at))
	exchange(t, c, s, "good\n")
	queued := func() int64 {
		t.Helper()
		before := n.seen.Load()
		for i := range 20 {
			exchange(t, c, s, fmt.Sprintf("bad %3d\n", i))
		}
		return n.seen.Load() - before
	}
	queued() // the first answer may be
	if got := queued(); got != 0 {
		t.Errorf("%d packets were queued", got)
	}
	fd, err := netlab.In(n.Client, func() (int, error) {
		return unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	})
	labtest.Must(t, err)
	defer unix.Close(fd)
	e := ends{client: c.LocalAddr().(*net.TCPAddr).AddrPort(), server: at}
	for i := range 3 {
		syn := e.tcp("S", 1000000*uint32(i), 0, "")
		labtest.Must(t, unix.Sendto(fd, syn, 0, &unix.SockaddrInet4{Addr: at.Addr().As4()}))
		if got := queued(); got < 20 {
			t.Errorf("SYN %d: %d packets were queued behind it", i, got)
		}
	}
	if s := n.Stats(); s.Accepted != 1 || s.Ignored != 1 || s.Dropped != 0 {
		t.Errorf("%+v", s)
	}
}

// When an accepted connection has ended, and nobody has seen that, a client cannot have the server
// answer one SYN while the Tracker waits for the answer to another.
func TestTwoSYNsBehindAccepted(t *testing.T) {
	const first, second, third = 1000000, 2000000, 3000000
	both := make(chan struct{})
	n := newRouter(t, connection.Config{Hold: true}, line, func(p *nfqueue.Packet) {
		tcp, ok := p.Transport()
		if !ok || binary.BigEndian.Uint32(tcp.Header[4:]) != second {
			return
		}
		select {
		case <-both:
		case <-t.Context().Done():
		}
	})
	send, acks, _ := rawClient(t, n.Network)
	for _, e := range []ends{
		{client: netip.AddrPortFrom(n.Client4, 5000), server: netip.AddrPortFrom(n.Server4, 443)},
		{client: netip.AddrPortFrom(n.Client6, 5000), server: netip.AddrPortFrom(n.Server6, 443)},
	} {
		l := listen(t, n.Network, e.server)
		send(e.tcp("S", first, 0, ""))
		ack := <-acks
		send(e.tcp("A", first+1, ack, "good\n"))
		s, err := l.Accept()
		labtest.Must(t, err)
		if got := hears(s, 5, patience); got != "good\n" {
			t.Fatalf("%v: heard %q", e.server, got)
		}
		send(e.tcp("R", first+6, 0, ""))
		send(e.tcp("S", second, 0, ""))
		send(e.tcp("S", third, 0, ""))
		for n.queue.Stats().Kernel.Backlog < 2 {
			runtime.Gosched()
		}
		both <- struct{}{}
		s.Close()
		ack = <-acks
		send(e.tcp("A", second+1, ack, ""))
		s, err = l.Accept()
		labtest.Must(t, err)
		send(e.tcp("A", second+1, ack, "bad\n"))
		if got := hears(s, 1, 200*time.Millisecond); got != "" {
			t.Errorf("%v: heard %q", e.server, got)
		}
		s.Close()
	}
}

// onesSum adds in ones' complement.
func onesSum(a, b uint16) uint16 {
	sum := uint32(a) + uint32(b)
	return uint16(sum>>16 + sum)
}

// rawClient returns a function that sends packets of the client, whose kernel knows nothing of
// them, to its router, and what the server's SYN-ACKs are to be acknowledged with. acked has what the
// server acknowledges, by the port of the client.
func rawClient(t *testing.T, n *netlab.Network) (send func([]byte), acks chan uint32, acked *sync.Map) {
	t.Helper()
	acks, acked = make(chan uint32, 10), new(sync.Map)
	labtest.Install(t, n.Client, "in tcp sport 443 queue 7")
	serve(t, n.Client, nfqueue.Config{Queue: 7}, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		tcp, ok := p.Transport()
		if !ok {
			return nfqueue.Drop
		}
		if tcp.Header[13] == 0x12 {
			select {
			case acks <- binary.BigEndian.Uint32(tcp.Header[4:]) + 1:
			default: // sent again
			}
		}
		acked.Store(binary.BigEndian.Uint16(tcp.Header[2:]), binary.BigEndian.Uint32(tcp.Header[8:]))
		return nfqueue.Drop
	}))
	device := func(h *netlab.Host, name string) *net.Interface {
		i, err := netlab.In(h, func() (*net.Interface, error) { return net.InterfaceByName(name) })
		labtest.Must(t, err)
		return i
	}
	to := unix.SockaddrLinklayer{Ifindex: device(n.Client, netlab.Eth).Index, Halen: 6}
	copy(to.Addr[:], device(n.Middle, netlab.ToClient).HardwareAddr)
	fd, err := netlab.In(n.Client, func() (int, error) { return unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0) })
	labtest.Must(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	return func(b []byte) {
		t.Helper()
		etherType := uint16(unix.ETH_P_IP)
		if b[0]>>4 == 6 {
			etherType = unix.ETH_P_IPV6
		}
		to.Protocol = binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, etherType))
		labtest.Must(t, unix.Sendto(fd, b, 0, &to))
		time.Sleep(10 * time.Millisecond) // the verdict has been there and back
	}, acks, acked
}
