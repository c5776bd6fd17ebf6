// SPDX-License-Identifier: GPL-2.0-or-later

package labtest

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go/internal/netlab"
)

// UDP is a socket that sends datagrams to another one.
type UDP struct{ From, To *net.UDPConn }

// SendUDP makes a socket in one host, and a socket at an address of another host to which it sends.
func SendUDP(tb testing.TB, from, to *netlab.Host, at netip.AddrPort) *UDP {
	tb.Helper()
	address := net.UDPAddrFromAddrPort(at)
	in, err := netlab.In(to, func() (*net.UDPConn, error) { return net.ListenUDP("udp", address) })
	Must(tb, err)
	tb.Cleanup(func() { in.Close() })
	out, err := netlab.In(
		from, func() (*net.UDPConn, error) { return net.DialUDP("udp", nil, address) },
	)
	Must(tb, err)
	tb.Cleanup(func() { out.Close() })
	return &UDP{From: out, To: in}
}

// Send sends a datagram for each text.
func (u *UDP) Send(tb testing.TB, texts ...string) {
	tb.Helper()
	for _, text := range texts {
		if _, err := u.From.Write([]byte(text)); err != nil {
			tb.Fatal(err)
		}
	}
}

// Arrive checks that exactly these datagrams arrive next, in this order.
func (u *UDP) Arrive(tb testing.TB, texts ...string) {
	tb.Helper()
	Must(tb, u.To.SetReadDeadline(time.Now().Add(patience)))
	b := make([]byte, 1<<16)
	for _, want := range texts {
		n, err := u.To.Read(b)
		if err != nil {
			tb.Fatalf("waiting for %q: %v", want, err)
		}
		if got := string(b[:n]); got != want {
			tb.Fatalf("received %q, want %q", got, want)
		}
	}
}
