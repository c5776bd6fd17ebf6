// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
)

func TestMain(m *testing.M) { labtest.Main(m) }

const (
	udp  = 17 // IPPROTO_UDP
	port = 4000
)

// lab is a client that sends datagrams to a server through queues at its output hook.
type lab struct {
	*netlab.Network
	output *netlab.Chain
	sender *net.UDPConn
	server *net.UDPConn
}

func newLab(t *testing.T, queues ...netlab.Queue) *lab {
	t.Helper()
	n := labtest.Pair(t)
	l := &lab{Network: n, output: labtest.Chain(t, n.Client, netlab.IP, netlab.Output, 0)}
	for i, q := range queues {
		labtest.Rule(t, l.output, netlab.L4Proto(udp), netlab.DstPort(port+uint16(i)), netlab.ToQueue(q))
	}
	var err error
	l.server, err = netlab.In(n.Server, func() (*net.UDPConn, error) {
		return net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(n.Server4, port)))
	})
	labtest.Must(t, err)
	t.Cleanup(func() { l.server.Close() })
	l.sender, err = netlab.In(n.Client, func() (*net.UDPConn, error) {
		return net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(n.Server4, port)))
	})
	labtest.Must(t, err)
	t.Cleanup(func() { l.sender.Close() })
	return l
}

// queue makes a Queue of the client, after Init, and closes it when the test ends.
func (l *lab) queue(t *testing.T, cb Callback) *Queue {
	t.Helper()
	q := new(Queue)
	must(t, q.Init())
	t.Cleanup(q.Close)
	// The namespace is the thread's with the API that is tested.
	open := q.open
	q.open = func(c nfqueue.Config) (*nfqueue.Queue, error) {
		return netlab.In(l.Client, func() (*nfqueue.Queue, error) { return open(c) })
	}
	must(t, q.SetCallback(cb))
	return q
}

func (l *lab) send(t testing.TB, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if _, err := l.sender.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
}

// arrive checks that exactly these datagrams arrive next, in this order.
func (l *lab) arrive(t testing.TB, texts ...string) {
	t.Helper()
	must(t, l.server.SetReadDeadline(time.Now().Add(patience)))
	b := make([]byte, 1<<16)
	for _, want := range texts {
		n, err := l.server.Read(b)
		if err != nil {
			t.Fatalf("waiting for %q: %v", want, err)
		}
		if got := string(b[:n]); got != want {
			t.Fatalf("received %q, want %q", got, want)
		}
	}
}

// udpText returns what a UDP datagram over IPv4 carries.
func udpText(p *Payload) string { return string(p.Data[20+8:]) }
