// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
)

func TestMain(m *testing.M) {
	if child := children[os.Getenv(childEnv)]; child != nil {
		child()
		return
	}
	labtest.Main(m)
}

// childEnv makes the test binary one of the programs in children.
const childEnv = "NFQUEUE_TEST_CHILD"

var children = map[string]func(){
	"successor": succeed,
	"consumer":  consume,
}

// patience bounds every wait for something that must come.
const patience = 20 * time.Second

const (
	udp  = 17 // IPPROTO_UDP
	port = 4000
)

// open opens a queue in a host and closes it when the test ends.
func open(t testing.TB, h *netlab.Host, cfg nfqueue.Config) *nfqueue.Queue {
	t.Helper()
	cfg.NetNS = h.FD()
	q, err := nfqueue.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { q.Close() })
	return q
}

// serve opens a queue in a host and serves it until the test ends.
func serve(t testing.TB, h *netlab.Host, cfg nfqueue.Config, f nfqueue.HandlerFunc) *nfqueue.Queue {
	t.Helper()
	q := open(t, h, cfg)
	serveOpen(t, q, f)
	return q
}

// serveOpen serves a queue until the test ends.
func serveOpen(t testing.TB, q *nfqueue.Queue, f nfqueue.HandlerFunc) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		defer close(done) // also when the handler ends the goroutine with t.Fatal
		done <- q.Serve(context.Background(), capturing(t, f))
	}()
	t.Cleanup(func() {
		q.Close()
		if err := <-done; err != nil && !errors.Is(err, nfqueue.ErrClosed) {
			t.Error(err)
		}
	})
}

// capturing prints the first packet that f handles if NFQUEUE_CAPTURE is set, as a file
// for testdata/packets.
func capturing(t testing.TB, f nfqueue.HandlerFunc) nfqueue.HandlerFunc {
	if os.Getenv("NFQUEUE_CAPTURE") == "" {
		return f
	}
	return func(p *nfqueue.Packet) nfqueue.Verdict {
		if p.ID() == 1 {
			fmt.Printf("BEGIN %s\n%sEND\n", t.Name(), nfqueue.Golden(p))
		}
		return f(p)
	}
}

// stop ends the serving of a queue. What its handler wrote may be read afterwards.
func stop(t testing.TB, q *nfqueue.Queue) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	labtest.Must(t, q.Shutdown(ctx))
}

// queueUDP adds a rule that queues UDP datagrams to port.
func queueUDP(t testing.TB, c *netlab.Chain, q netlab.Queue) *netlab.Rule {
	t.Helper()
	return labtest.Rule(t, c, netlab.L4Proto(udp), netlab.DstPort(port), netlab.ToQueue(q))
}

// listenUDP listens for datagrams in a host.
func listenUDP(t testing.TB, h *netlab.Host, at netip.AddrPort) *net.UDPConn {
	t.Helper()
	l, err := netlab.In(h, func() (*net.UDPConn, error) { return net.ListenUDP("udp", net.UDPAddrFromAddrPort(at)) })
	labtest.Must(t, err)
	t.Cleanup(func() { l.Close() })
	roomy(t, l)
	labtest.Must(t, l.SetReadDeadline(time.Now().Add(patience)))
	return l
}

// dialUDP makes a socket in a host which sends to an address.
func dialUDP(t testing.TB, h *netlab.Host, to netip.AddrPort) *net.UDPConn {
	t.Helper()
	c, err := netlab.In(h, func() (*net.UDPConn, error) { return net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to)) })
	labtest.Must(t, err)
	t.Cleanup(func() { c.Close() })
	roomy(t, c)
	return c
}

// roomy makes the buffers of a socket as large as they may be. Packets that wait in a queue
// are charged to the socket that sent them, small ones with up to 1.5 KiB.
func roomy(t testing.TB, c *net.UDPConn) {
	t.Helper()
	const size = 1 << 20
	labtest.Must(t, c.SetWriteBuffer(size))
	labtest.Must(t, c.SetReadBuffer(size))
}

func send(t testing.TB, c *net.UDPConn, messages ...string) {
	t.Helper()
	labtest.Must(t, c.SetWriteDeadline(time.Now().Add(patience))) // the send buffer may be full
	for _, m := range messages {
		if _, err := c.Write([]byte(m)); err != nil {
			t.Fatal(err)
		}
	}
}

// receive checks that exactly these datagrams arrive next, in this order.
func receive(t testing.TB, l *net.UDPConn, want ...string) {
	t.Helper()
	b := make([]byte, 1<<16)
	for _, w := range want {
		n, _, err := l.ReadFromUDPAddrPort(b)
		if err != nil {
			t.Fatalf("waiting for %.80q: %v", w, err)
		}
		if got := string(b[:n]); got != w {
			t.Fatalf("received %.80q (%d bytes), want %.80q (%d bytes)", got, n, w, len(w))
		}
	}
}

// text returns what a queued UDP datagram carries.
func text(p *nfqueue.Packet) string { return string(p.Payload()[udpData(p):]) }

// udpData returns where the data of a UDP datagram without extension headers start.
func udpData(p *nfqueue.Packet) int {
	if p.Family() == nfqueue.FamilyIPv6 || p.EtherType() == 0x86dd {
		return 40 + 8
	}
	return 20 + 8
}

// families are run by tests that must hold for both.
var families = []struct {
	name   string
	family nfqueue.Family
	rules  netlab.Family
	server func(*netlab.Network) netip.Addr
	lo     netip.Addr
}{
	{"ip", nfqueue.FamilyIPv4, netlab.IP, func(n *netlab.Network) netip.Addr { return n.Server4 }, netip.MustParseAddr("127.0.0.1")},
	{"ip6", nfqueue.FamilyIPv6, netlab.IP6, func(n *netlab.Network) netip.Addr { return n.Server6 }, netip.IPv6Loopback()},
}

// waitFor returns the next value that a handler has sent.
func waitFor[T any](t testing.TB, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// readAll accepts one connection and reads it to its end.
func readAll(t testing.TB, l net.Listener) string {
	t.Helper()
	labtest.Must(t, l.(*net.TCPListener).SetDeadline(time.Now().Add(patience)))
	c, err := l.Accept()
	labtest.Must(t, err)
	defer c.Close()
	labtest.Must(t, c.SetDeadline(time.Now().Add(patience)))
	b, err := io.ReadAll(c)
	labtest.Must(t, err)
	return string(b)
}
