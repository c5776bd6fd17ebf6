// SPDX-License-Identifier: GPL-2.0-or-later

package netlab_test

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
)

func TestMain(m *testing.M) {
	actUnprivileged()
	labtest.Main(m)
}

// listen opens a UDP socket on addr in a host; it has a deadline, so that a missing datagram is a
// failure.
func listen(t *testing.T, h *netlab.Host, addr netip.Addr) *net.UDPConn {
	t.Helper()
	conn, err := netlab.In(h, func() (*net.UDPConn, error) {
		return net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 0)))
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func addrOf(c *net.UDPConn) netip.AddrPort { return c.LocalAddr().(*net.UDPAddr).AddrPort() }

func send(t *testing.T, from, to *net.UDPConn, text string) {
	t.Helper()
	if _, err := from.WriteToUDPAddrPort([]byte(text), addrOf(to)); err != nil {
		t.Fatal(err)
	}
}

// expect fails unless the next datagram is text, and returns where it came from.
func expect(t *testing.T, on *net.UDPConn, text string) netip.AddrPort {
	t.Helper()
	b := make([]byte, 100)
	n, from, err := on.ReadFromUDPAddrPort(b)
	if err != nil {
		t.Fatalf("waiting for %q: %v", text, err)
	}
	if string(b[:n]) != text {
		t.Fatalf("got %q, want %q", b[:n], text)
	}
	return from
}

// exchange sends a datagram there and back between two addresses.
func exchange(t *testing.T, a *netlab.Host, aAddr netip.Addr, b *netlab.Host, bAddr netip.Addr) {
	t.Helper()
	there, here := listen(t, b, bAddr), listen(t, a, aAddr)
	send(t, here, there, "ping")
	if from := expect(t, there, "ping"); from != addrOf(here) {
		t.Errorf("came from %v, want %v", from, addrOf(here))
	}
	send(t, there, here, "pong")
	expect(t, here, "pong")
}
