// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"net/netip"
	"testing"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
)

func TestMain(m *testing.M) {
	if labtest.IsProgram() {
		closingProgram()
		return
	}
	labtest.Main(m)
}

const (
	udp  = 17 // IPPROTO_UDP
	port = 4000
)

// lab is a client that sends datagrams to a server through queues at its output hook.
type lab struct {
	*netlab.Network
	output *netlab.Chain
	*labtest.UDP
}

func newLab(t *testing.T, queues ...netlab.Queue) *lab {
	t.Helper()
	n := labtest.Pair(t)
	l := &lab{Network: n, output: labtest.Chain(t, n.Client, netlab.IP, netlab.Output, 0)}
	for i, q := range queues {
		labtest.Rule(t, l.output, netlab.L4Proto(udp), netlab.DstPort(port+uint16(i)), netlab.ToQueue(q))
	}
	l.UDP = labtest.SendUDP(t, n.Client, n.Server, netip.AddrPortFrom(n.Server4, port))
	return l
}

// queue makes a Queue of the client, after Init, and closes it when the test ends.
func (l *lab) queue(t *testing.T, cb Callback) *Queue {
	t.Helper()
	q := new(Queue)
	must(t, q.Init())
	t.Cleanup(q.Close)
	// The tested API uses the namespace of the thread.
	open := q.open
	q.open = func(c nfqueue.Config) (*nfqueue.Queue, error) {
		return netlab.In(l.Client, func() (*nfqueue.Queue, error) { return open(c) })
	}
	must(t, q.SetCallback(cb))
	return q
}

// udpText returns the data of a UDP datagram over IPv4.
func udpText(p *Payload) string { return string(p.Data[20+8:]) }
