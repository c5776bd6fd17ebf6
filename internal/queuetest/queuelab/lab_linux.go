// SPDX-License-Identifier: GPL-2.0-or-later

package queuelab

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/bridge"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
)

// Main is the body of a TestMain, see labtest.Main. If ChildEnv names one of children, it runs that
// instead of the tests.
func Main(m *testing.M, children map[string]func()) {
	if child := children[os.Getenv(ChildEnv)]; child != nil {
		child()
		return
	}
	labtest.Main(m)
}

// ChildEnv makes the test binary one of the programs that are given to Main.
const ChildEnv = "NFQUEUE_TEST_CHILD"

// Patience bounds every wait for something that must happen.
const Patience = 20 * time.Second

const (
	// UDP is IPPROTO_UDP.
	UDP = 17
	// Port is the destination of the datagrams that QueueUDP queues.
	Port = 4000
)

// Open opens a queue in a host and closes it when the test ends.
func Open(t testing.TB, h *netlab.Host, cfg nfqueue.Config) *nfqueue.Queue {
	t.Helper()
	cfg.NetNS = h.FD()
	q, err := nfqueue.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { q.Close() })
	return q
}

// Serve opens a queue in a host and serves it until the test ends.
func Serve(t testing.TB, h *netlab.Host, cfg nfqueue.Config, f nfqueue.HandlerFunc) *nfqueue.Queue {
	t.Helper()
	q := Open(t, h, cfg)
	ServeOpen(t, q, f)
	return q
}

// ServeOpen serves a queue until the test ends.
func ServeOpen(t testing.TB, q *nfqueue.Queue, f nfqueue.HandlerFunc) {
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

// capturing prints the message of the first packet that f handles if NFQUEUE_CAPTURE is set, as a
// file for testdata/packets.
func capturing(t testing.TB, f nfqueue.HandlerFunc) nfqueue.HandlerFunc {
	if os.Getenv("NFQUEUE_CAPTURE") == "" {
		return f
	}
	return func(p *nfqueue.Packet) nfqueue.Verdict {
		if p.ID() == 1 {
			fmt.Printf("BEGIN %s\nbyte order: %s\ndescription: missing\n\n%sEND\n",
				t.Name(), nativeOrder(), hex.Dump(bridge.Message(p)))
		}
		return f(p)
	}
}

// nativeOrder names the byte order of this machine.
func nativeOrder() string {
	if binary.NativeEndian.Uint16([]byte{0, 1}) == 1 {
		return "big"
	}
	return "little"
}

// Stop shuts a queue down. Afterwards the test may read what the handler wrote.
func Stop(t testing.TB, q *nfqueue.Queue) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	labtest.Must(t, q.Shutdown(ctx))
}

// QueueUDP adds a rule that queues UDP datagrams to Port.
func QueueUDP(t testing.TB, c *netlab.Chain, q netlab.Queue) *netlab.Rule {
	t.Helper()
	return labtest.Rule(t, c, netlab.L4Proto(UDP), netlab.DstPort(Port), netlab.ToQueue(q))
}

// ListenUDP listens for datagrams in a host.
func ListenUDP(t testing.TB, h *netlab.Host, at netip.AddrPort) *net.UDPConn {
	t.Helper()
	l, err := netlab.In(
		h, func() (*net.UDPConn, error) { return net.ListenUDP("udp", net.UDPAddrFromAddrPort(at)) },
	)
	labtest.Must(t, err)
	t.Cleanup(func() { l.Close() })
	roomy(t, l)
	labtest.Must(t, l.SetReadDeadline(time.Now().Add(Patience)))
	return l
}

// DialUDP makes a socket in a host which sends to an address.
func DialUDP(t testing.TB, h *netlab.Host, to netip.AddrPort) *net.UDPConn {
	t.Helper()
	c, err := netlab.In(
		h, func() (*net.UDPConn, error) { return net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to)) },
	)
	labtest.Must(t, err)
	t.Cleanup(func() { c.Close() })
	roomy(t, c)
	return c
}

// roomy makes the buffers of a socket as large as possible. The kernel charges a packet that waits
// in a queue to the socket that sent it, with up to 1.5 KiB if it is small.
func roomy(t testing.TB, c *net.UDPConn) {
	t.Helper()
	const size = 1 << 20
	labtest.Must(t, c.SetWriteBuffer(size))
	labtest.Must(t, c.SetReadBuffer(size))
}

// Send sends a datagram for each message.
func Send(t testing.TB, c *net.UDPConn, messages ...string) {
	t.Helper()
	labtest.Must(t, c.SetWriteDeadline(time.Now().Add(Patience))) // the send buffer may be full
	for _, m := range messages {
		if _, err := c.Write([]byte(m)); err != nil {
			t.Fatal(err)
		}
	}
}

// Receive checks that exactly these datagrams arrive next, in this order.
func Receive(t testing.TB, l *net.UDPConn, want ...string) {
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

// Text returns the data of a queued UDP datagram.
func Text(p *nfqueue.Packet) string { return string(p.Payload()[UDPData(p):]) }

// UDPData returns the offset of the data of a UDP datagram without extension headers.
func UDPData(p *nfqueue.Packet) int {
	if p.Family() == nfqueue.FamilyIPv6 || p.EtherType() == 0x86dd {
		return 40 + 8
	}
	return 20 + 8
}

// Families are the address families of tests that must hold for both.
var Families = []struct {
	Name     string
	Family   nfqueue.Family
	Rules    netlab.Family
	Server   func(*netlab.Network) netip.Addr
	Loopback netip.Addr
}{
	{
		"ip",
		nfqueue.FamilyIPv4,
		netlab.IP,
		func(n *netlab.Network) netip.Addr { return n.Server4 },
		netip.MustParseAddr("127.0.0.1"),
	},
	{
		"ip6",
		nfqueue.FamilyIPv6,
		netlab.IP6,
		func(n *netlab.Network) netip.Addr { return n.Server6 },
		netip.IPv6Loopback(),
	},
}

// WaitFor returns the next value that a handler has sent.
func WaitFor[T any](t testing.TB, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(Patience):
		t.Fatalf("no value after %v", Patience)
		panic("unreachable")
	}
}

// ReadAll accepts one connection and reads it to its end.
func ReadAll(t testing.TB, l net.Listener) string {
	t.Helper()
	labtest.Must(t, l.(*net.TCPListener).SetDeadline(time.Now().Add(Patience)))
	c, err := l.Accept()
	labtest.Must(t, err)
	defer c.Close()
	labtest.Must(t, c.SetDeadline(time.Now().Add(Patience)))
	b, err := io.ReadAll(c)
	labtest.Must(t, err)
	return string(b)
}

// Localhost is the IPv4 loopback address.
var Localhost = netip.MustParseAddr("127.0.0.1")

// OuterID returns the id that root of the current user namespace has in its parent.
func OuterID(t *testing.T, file string) uint32 {
	t.Helper()
	b, err := os.ReadFile("/proc/self/" + file)
	labtest.Must(t, err)
	var inner, outer uint32
	if _, err := fmt.Sscan(string(b), &inner, &outer); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if inner != 0 {
		t.Fatalf("%s maps from %d, want 0", file, inner)
	}
	return outer
}

// FirstUserNamespace reports whether the process is in the initial user namespace, which maps every
// id to itself.
func FirstUserNamespace(t *testing.T) bool {
	t.Helper()
	ids, err := os.ReadFile("/proc/self/uid_map")
	labtest.Must(t, err)
	return strings.Join(strings.Fields(string(ids)), " ") == "0 0 4294967295"
}
