// SPDX-License-Identifier: GPL-2.0-or-later

package connection_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
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
func serve(t *testing.T, h *netlab.Host, cfg nfqueue.Config, handler nfqueue.Handler) {
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
}

// install installs rules in a host until the test ends.
func install(t *testing.T, h *netlab.Host, texts ...string) {
	t.Helper()
	var all []rules.Rule
	for _, text := range texts {
		r, err := rules.Parse(text)
		labtest.Must(t, err)
		all = append(all, r)
	}
	set, err := rules.Install(rules.Config{NetNS: h.FD()}, all...)
	labtest.Must(t, err)
	t.Cleanup(func() { labtest.Must(t, set.Close()) })
}

// shuffle lets each packet of a queue go on after a time of its own: up to 10 ms, so that
// packets overtake each other.
func shuffle(p *nfqueue.Packet) nfqueue.Verdict {
	h := p.Defer()
	time.AfterFunc(time.Duration(rand.Int64N(int64(10*time.Millisecond))),
		func() { _ = h.Resolve(nfqueue.Accept) })
	return nfqueue.Deferred
}

// listen listens on the server of a network.
func listen(t *testing.T, n *netlab.Network, at netip.AddrPort) *net.TCPListener {
	t.Helper()
	l, err := netlab.In(n.Server, func() (*net.TCPListener, error) { return net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at)) })
	labtest.Must(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

// dial connects from a port of the client, 0 for any, with destination options in IPv6. The
// socket has the options that prepare sets.
func dial(n *netlab.Network, port uint16, to netip.AddrPort, prepare ...func(fd int) error) (net.Conn, error) {
	from := netip.AddrPortFrom(n.Client4, port)
	if to.Addr().Is6() {
		from = netip.AddrPortFrom(n.Client6, port)
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
	return netlab.In(n.Client, func() (net.Conn, error) { return d.Dial("tcp", to.String()) })
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

// hears reads what a server is told until the text is there, or nothing comes any more.
func hears(s net.Conn, want int, limit time.Duration) string {
	b := make([]byte, want)
	_ = s.SetReadDeadline(time.Now().Add(limit))
	n, _ := io.ReadFull(s, b)
	return string(b[:n])
}

// Of 200 connections whose packets are delayed by up to 10 ms, and so come out of order,
// the server hears the whole hello for an allowed name, and no byte for a blocked one.
func TestJitter(t *testing.T) {
	n := labtest.Pair(t)
	install(t, n.Client, "out tcp dport 443 queue 1")
	serve(t, n.Client, nfqueue.Config{Queue: 1}, nfqueue.HandlerFunc(shuffle))
	install(t, n.Server, "in tcp dport 443 offload", "out tcp sport 443 offload")
	tr := connection.New(connection.Config{Hold: true, Offload: rules.DefaultOffload},
		connection.HandlerFunc(byName))
	serve(t, n.Server, nfqueue.Config{}, tr)

	const conns, parallel = 200, 20
	var right, wrong atomic.Int32
	for _, addr := range []netip.Addr{n.Server4, n.Server6} {
		at := netip.AddrPortFrom(addr, 443)
		l := listen(t, n, at)
		var servers sync.Map // by the address of the client
		go func() {
			for {
				s, err := l.Accept()
				if err != nil {
					return
				}
				ch, _ := servers.LoadOrStore(s.RemoteAddr().String(), make(chan net.Conn, 1))
				ch.(chan net.Conn) <- s
			}
		}()
		tokens := make(chan struct{}, parallel)
		var all sync.WaitGroup
		for i := range conns / 2 {
			tokens <- struct{}{}
			all.Go(func() {
				defer func() { <-tokens }()
				text, limit, want := hello("www.example"), patience, hello("www.example")
				if i%2 == 1 {
					text, limit, want = hello(blockedName, 30+i%40), 700*time.Millisecond, ""
				}
				c, err := dial(n, 0, at)
				if err != nil {
					t.Error(err)
					return
				}
				defer c.Close()
				ch, _ := servers.LoadOrStore(c.LocalAddr().String(), make(chan net.Conn, 1))
				s := <-ch.(chan net.Conn)
				defer s.Close()
				first := 1 + rand.IntN(len(text)-2)
				parts, _ := cutAt(text, first, first+1+rand.IntN(len(text)-first-1))
				if err := say(c, parts...); err != nil {
					t.Error(err)
				}
				if got := hears(s, len(text), limit); got == want {
					right.Add(1)
				} else {
					wrong.Add(1)
					t.Errorf("%v, parts %q: heard %q", addr, parts, got)
				}
			})
		}
		all.Wait()
	}
	if right.Load() != conns {
		t.Errorf("%d right, %d wrong", right.Load(), wrong.Load())
	}
	if s := tr.Stats(); s.Accepted != conns/2 || s.Dropped != conns/2 || fallback(s.Fallback) != 0 ||
		s.Held != 0 {
		t.Errorf("%+v", s)
	}
}

// A port pair may be used again at once after a blocked or half hello, and every client
// knows at once that it is rejected.
func TestKernelPortsAgain(t *testing.T) {
	n := labtest.Routed(t)
	install(t, n.Middle, "forward tcp port 443 offload")
	tr := connection.New(connection.Config{Hold: true, Offload: rules.DefaultOffload},
		connection.HandlerFunc(func(c *connection.Conn) connection.Answer {
			if a := byName(c); a != connection.Drop {
				return a
			}
			return connection.Reject
		}))
	serve(t, n.Middle, nfqueue.Config{}, tr)
	for i, addr := range []netip.Addr{n.Server4, n.Server6} {
		at := netip.AddrPortFrom(addr, 443)
		l := listen(t, n, at)
		port := uint16(5000 + i)
		for round, text := range []string{hello(blockedName), hello("www.example"),
			hello("www.example")[:20], hello("www.example"), hello(blockedName), hello("www.example")} {
			c, err := dial(n, port, at)
			if err != nil {
				t.Fatalf("%v, round %d: %v", addr, round, err)
			}
			s, err := l.Accept()
			labtest.Must(t, err)
			labtest.Must(t, say(c, text[:10], text[10:]))
			switch {
			case text == hello(blockedName):
				start := time.Now()
				_ = c.SetReadDeadline(start.Add(patience))
				if _, err := c.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) ||
					time.Since(start) > patience/4 {
					t.Errorf("%v, round %d: the client reads %v after %v", addr, round, err, time.Since(start))
				}
				if got := hears(s, 1, 300*time.Millisecond); got != "" {
					t.Errorf("%v, round %d: heard %q", addr, round, got)
				}
			case len(text) == 20:
				if got := hears(s, 1, 300*time.Millisecond); got != "" {
					t.Errorf("%v, round %d: heard %q", addr, round, got)
				}
			default:
				if got := hears(s, len(text), patience); got != text {
					t.Errorf("%v, round %d: heard %q", addr, round, got)
				}
			}
			for _, end := range []net.Conn{c, s} { // with a reset, so that the ports are free
				labtest.Must(t, end.(*net.TCPConn).SetLinger(0))
				end.Close()
			}
		}
	}
	if s := tr.Stats(); s.Accepted != 6 || s.Rejected != 4 {
		t.Errorf("%+v", s)
	}
}

// After the verdict's round trip no packet of a decided connection is queued.
func TestOffloaded(t *testing.T) {
	n := labtest.Routed(t)
	install(t, n.Middle, "forward tcp port 443 offload")
	tr := connection.New(connection.Config{Hold: true, Offload: rules.DefaultOffload},
		connection.HandlerFunc(line))
	var seen atomic.Int64
	serve(t, n.Middle, nfqueue.Config{}, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		seen.Add(1)
		return tr.ServePacket(p)
	}))
	at := netip.AddrPortFrom(n.Server4, 443)
	l := listen(t, n, at)
	c, err := dial(n, 0, at)
	labtest.Must(t, err)
	defer c.Close()
	s, err := l.Accept()
	labtest.Must(t, err)
	defer s.Close()
	labtest.Must(t, say(c, "good\n"))
	if got := hears(s, 5, patience); got != "good\n" {
		t.Fatalf("heard %q", got)
	}
	labtest.Must(t, say(s, "fine"))
	_ = hears(c, 4, patience)
	before := seen.Load()
	for i := range 200 {
		text := fmt.Sprintf("exchange %3d", i)
		labtest.Must(t, say(c, text))
		labtest.Must(t, say(s, hears(s, len(text), patience)))
		if got := hears(c, len(text), patience); got != text {
			t.Fatalf("%q came back", got)
		}
	}
	if got := seen.Load(); got != before || before > 6 {
		t.Errorf("%d packets were queued until the decision, %d in all", before, got)
	}
}

// Reject ends the wait of a client at once, also in connect, over TCP and UDP.
func TestKernelReject(t *testing.T) {
	n := labtest.Routed(t)
	install(t, n.Middle, "forward tcp port 443 offload", "forward udp port 443 offload")
	serve(t, n.Middle, nfqueue.Config{}, connection.New(
		connection.Config{Hold: true, Offload: rules.DefaultOffload},
		connection.HandlerFunc(func(*connection.Conn) connection.Answer { return connection.Reject })))
	for _, addr := range []netip.Addr{n.Server4, n.Server6} {
		at := netip.AddrPortFrom(addr, 443)
		start := time.Now()
		if _, err := dial(n, 0, at); !errors.Is(err, unix.ECONNREFUSED) {
			t.Errorf("connect to %v: %v", addr, err)
		}
		u, err := netlab.In(n.Client, func() (net.Conn, error) { return net.Dial("udp", at.String()) })
		labtest.Must(t, err)
		defer u.Close()
		labtest.Must(t, say(u, "anything"))
		_ = u.SetReadDeadline(time.Now().Add(patience))
		if _, err := u.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNREFUSED) {
			t.Errorf("read of UDP from %v: %v", addr, err)
		}
		if took := time.Since(start); took > patience/4 {
			t.Errorf("%v: all that took %v", addr, took)
		}
	}
}
