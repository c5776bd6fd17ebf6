// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
)

func TestMain(m *testing.M) {
	if labtest.IsProgram() {
		main()
		return
	}
	labtest.Main(m)
}

// The server sees the Client Hello of a name that is not blocked, and never the whole of
// another.
func TestBlockSNI(t *testing.T) {
	for _, mtu := range []int{1500, 1280, 600} { // the hello fills one segment or several
		n := labtest.Pair(t)
		labtest.Must(t, n.Client.SetMTU(netlab.Eth, mtu))
		labtest.Rule(t, labtest.Chain(t, n.Client, netlab.IP, netlab.Output, 0),
			netlab.L4Proto(6), netlab.DstPort(443), netlab.ToQueue(netlab.Queue{}))
		at := netip.AddrPortFrom(n.Server4, 443).String()
		l, err := netlab.In(n.Server, func() (net.Listener, error) { return net.Listen("tcp", at) })
		labtest.Must(t, err)
		defer l.Close()
		p := labtest.Start(t, n.Client, 1, "ads.example", "tracker.example")
		if name, err := greet(t, n, l, "www.example", 20*time.Second); name != "www.example" {
			t.Errorf("MTU %d: the server sees %q, %v", mtu, name, err)
		}
		if name, err := greet(t, n, l, "ads.example", 500*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("MTU %d: the server sees %q, %v", mtu, name, err)
		}
		p.Interrupt(t, "blocked ads.example for 192.0.2.1\n")
	}
}

// greet makes a connection and returns the name in the Client Hello that arrives within
// a time.
func greet(t *testing.T, n *netlab.Network, l net.Listener, name string, limit time.Duration) (seen string, err error) {
	t.Helper()
	c, err := netlab.In(n.Client, func() (net.Conn, error) { return net.Dial("tcp", l.Addr().String()) })
	labtest.Must(t, err)
	defer c.Close()
	go tls.Client(c, &tls.Config{ServerName: name}).Handshake()
	s, err := l.Accept()
	labtest.Must(t, err)
	defer s.Close()
	labtest.Must(t, s.SetDeadline(time.Now().Add(limit)))
	err = tls.Server(s, &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		seen = h.ServerName
		return nil, errors.New("seen")
	}}).Handshake()
	return seen, err
}
