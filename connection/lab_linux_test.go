// SPDX-License-Identifier: GPL-2.0-or-later

package connection_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/connection"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/rules"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { labtest.Main(m) }

const patience = 20 * time.Second

// serve serves a queue of a host until the test ends.
func serve(t *testing.T, h *netlab.Host, cfg nfqueue.Config, handler nfqueue.Handler) *nfqueue.Queue {
	t.Helper()
	cfg.NetNS = h.FD()
	q, err := nfqueue.Open(cfg)
	labtest.Must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- q.Serve(ctx, handler) }()
	t.Cleanup(func() {
		cancel()
		labtest.Must(t, <-served)
	})
	return q
}

// router is a network whose router decides connections with port 443.
type router struct {
	*netlab.Network
	*connection.Tracker
	queue *nfqueue.Queue
	seen  atomic.Int64 // packets that were queued
}

// newRouter has a handler decide connections, for which Config says how. Each packet is shown to
// look before, if that is given.
func newRouter(t *testing.T, cfg connection.Config, handler connection.HandlerFunc,
	look func(*nfqueue.Packet)) *router {
	t.Helper()
	cfg.Offload = rules.DefaultOffload
	r := &router{Network: labtest.Routed(t), Tracker: connection.New(cfg, handler)}
	labtest.Install(t, r.Middle, "forward tcp port 443 offload", "forward udp port 443 offload")
	r.queue = serve(t, r.Middle, nfqueue.Config{}, nfqueue.HandlerFunc(
		func(p *nfqueue.Packet) nfqueue.Verdict {
			r.seen.Add(1)
			if look != nil {
				look(p)
			}
			return r.ServePacket(p)
		}))
	return r
}

// listen listens on the server of a network.
func listen(t *testing.T, n *netlab.Network, at netip.AddrPort) *net.TCPListener {
	t.Helper()
	l, err := netlab.In(n.Server, func() (*net.TCPListener, error) { return net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at)) })
	labtest.Must(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

// dial connects from a port of the client, 0 for any, as dialFrom does.
func dial(n *netlab.Network, port uint16, to netip.AddrPort,
	prepare ...func(fd int) error) (net.Conn, error) {
	from := netip.AddrPortFrom(n.Client4, port)
	if to.Addr().Is6() {
		from = netip.AddrPortFrom(n.Client6, port)
	}
	return dialFrom(context.Background(), n, from, to, prepare...)
}

// dialFrom connects from an address of the client, with destination options in IPv6. The socket
// has the options that prepare sets.
func dialFrom(ctx context.Context, n *netlab.Network, from, to netip.AddrPort,
	prepare ...func(fd int) error) (net.Conn, error) {
	if to.Addr().Is6() {
		prepare = append(prepare, func(fd int) error {
			return unix.SetsockoptString(fd, unix.IPPROTO_IPV6, unix.IPV6_DSTOPTS,
				"\x00\x00\x01\x04\x00\x00\x00\x00")
		})
	}
	d := net.Dialer{
		Timeout: patience, LocalAddr: net.TCPAddrFromAddrPort(from),
		Control: func(_, _ string, c syscall.RawConn) (err error) {
			e := c.Control(func(fd uintptr) {
				for _, set := range prepare {
					err = errors.Join(err, set(int(fd)))
				}
			})
			return errors.Join(e, err)
		},
	}
	return netlab.In(n.Client, func() (net.Conn, error) {
		return d.DialContext(ctx, "tcp", to.String())
	})
}

// say writes the parts of a text, each in a segment of its own.
func say(c net.Conn, parts ...string) error {
	for _, part := range parts {
		if _, err := io.WriteString(c, part); err != nil {
			return err
		}
	}
	return nil
}

// wantRefused reads an error.
func wantRefused(t *testing.T, c net.Conn, want error) {
	t.Helper()
	labtest.Must(t, c.SetReadDeadline(time.Now().Add(patience)))
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, want) {
		t.Errorf("read of %v: %d bytes, %v, want %v", c.RemoteAddr(), n, err, want)
	}
}

// hears reads what a server is told until the text is there, or nothing comes any more.
func hears(s net.Conn, want int, limit time.Duration) string {
	b := make([]byte, want)
	_ = s.SetReadDeadline(time.Now().Add(limit))
	n, _ := io.ReadFull(s, b)
	return string(b[:n])
}

// connect makes a connection from a port of the client, 0 for any, to a listener.
func connect(t *testing.T, n *netlab.Network, port uint16, l *net.TCPListener,
	prepare ...func(fd int) error) (client, server *net.TCPConn) {
	t.Helper()
	c, err := dial(n, port, l.Addr().(*net.TCPAddr).AddrPort(), prepare...)
	labtest.Must(t, err)
	s, err := l.AcceptTCP()
	labtest.Must(t, err)
	t.Cleanup(func() { c.Close(); s.Close() })
	return c.(*net.TCPConn), s
}

// exchange has a text go to the server and back.
func exchange(t *testing.T, client, server net.Conn, text string) {
	t.Helper()
	for _, way := range [2][2]net.Conn{{client, server}, {server, client}} {
		labtest.Must(t, say(way[0], text))
		if got := hears(way[1], len(text), patience); got != text {
			t.Fatalf("heard %q of %q", got, text)
		}
	}
}

// reset ends connections at once, so that their ports are free.
func reset(t *testing.T, ends ...*net.TCPConn) {
	t.Helper()
	for _, end := range ends {
		labtest.Must(t, end.SetLinger(0))
		end.Close()
	}
}
