// SPDX-License-Identifier: GPL-2.0-or-later

package rules_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
	"github.com/chifflier/nfqueue-go/rules"
	"golang.org/x/sys/unix"
)

// place is a rule with offload and the host that has it.
type place struct {
	host *netlab.Host
	rule string
}

// ends are the addresses of a connection from the client to the server.
type ends struct{ from, to netip.AddrPort }

// lastPort makes every connection a new one: conntrack remembers those of earlier tests.
var lastPort atomic.Uint32

func init() { lastPort.Store(1000) }

// anew returns ends with another port of the client, and of the server if that is given.
func (e ends) anew(server uint16) ends {
	return ends{
		netip.AddrPortFrom(e.from.Addr(), uint16(lastPort.Add(1))),
		netip.AddrPortFrom(e.to.Addr(), server),
	}
}

// stream makes a TCP connection. The error is that of the client's connect.
func (e ends) stream(t *testing.T, n *netlab.Network) (client, server *net.TCPConn, err error) {
	t.Helper()
	l, err := netlab.In(n.Server, func() (*net.TCPListener, error) {
		return net.ListenTCP("tcp", net.TCPAddrFromAddrPort(e.to))
	})
	labtest.Must(t, err)
	defer l.Close()
	labtest.Must(t, l.SetDeadline(time.Now().Add(patience)))
	client, err = netlab.In(n.Client, func() (*net.TCPConn, error) {
		d := net.Dialer{Timeout: patience, LocalAddr: net.TCPAddrFromAddrPort(e.from)}
		c, err := d.Dial("tcp", e.to.String())
		if err != nil {
			return nil, err
		}
		return c.(*net.TCPConn), nil
	})
	if err != nil {
		return nil, nil, err
	}
	server, err = l.AcceptTCP()
	labtest.Must(t, err)
	for _, c := range []*net.TCPConn{client, server} {
		t.Cleanup(func() { c.SetLinger(0); c.Close() })
		labtest.Must(t, c.SetDeadline(time.Now().Add(patience)))
	}
	return client, server, nil
}

// datagrams makes two UDP sockets that are connected to each other.
func (e ends) datagrams(t *testing.T, n *netlab.Network) (client, server *net.UDPConn) {
	t.Helper()
	dial := func(h *netlab.Host, from, to netip.AddrPort) *net.UDPConn {
		c, err := netlab.In(h, func() (*net.UDPConn, error) {
			return net.DialUDP("udp", net.UDPAddrFromAddrPort(from), net.UDPAddrFromAddrPort(to))
		})
		labtest.Must(t, err)
		t.Cleanup(func() { c.Close() })
		labtest.Must(t, c.SetDeadline(time.Now().Add(patience)))
		return c
	}
	return dial(n.Client, e.from, e.to), dial(n.Server, e.to, e.from)
}

// exchange has a message go to the server and back.
func exchange(t *testing.T, client, server net.Conn, text string) {
	t.Helper()
	b := make([]byte, len(text))
	for _, way := range [2][2]net.Conn{{client, server}, {server, client}} {
		if _, err := io.WriteString(way[0], text); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(way[1], b); err != nil || string(b) != text {
			t.Fatalf("received %q, %v, want %q", b, err, text)
		}
	}
}

// say writes a text.
func say(c net.Conn, text string) error {
	_, err := io.WriteString(c, text)
	return err
}

// wantNothing checks that nothing has arrived.
func wantNothing(t *testing.T, c syscall.Conn) {
	t.Helper()
	raw, err := c.SyscallConn()
	labtest.Must(t, err)
	var b [64]byte
	var n int
	labtest.Must(t, raw.Control(func(fd uintptr) {
		n, _, err = unix.Recvfrom(int(fd), b[:], unix.MSG_DONTWAIT)
	}))
	if !errors.Is(err, unix.EAGAIN) {
		t.Errorf("received %q, %v", b[:max(n, 0)], err)
	}
}

// families are the ends of connections over IPv4 and IPv6.
func families(n *netlab.Network) map[string]ends {
	return map[string]ends{
		"IPv4": {netip.AddrPortFrom(n.Client4, 0), netip.AddrPortFrom(n.Server4, 0)},
		"IPv6": {netip.AddrPortFrom(n.Client6, 0), netip.AddrPortFrom(n.Server6, 0)},
	}
}

// on decides a packet that contains a text, and lets the others pass.
func on(text string, decide func(*nfqueue.Packet) nfqueue.Verdict) nfqueue.HandlerFunc {
	return func(p *nfqueue.Packet) nfqueue.Verdict {
		if bytes.Contains(p.Payload(), []byte(text)) {
			return decide(p)
		}
		return nfqueue.Accept
	}
}

// TestOffloadAccept: of a connection that is accepted at its first data nothing more is
// queued, in either direction, at every hook.
func TestOffloadAccept(t *testing.T) {
	n := labtest.Routed(t)
	const exchanges = 50
	for _, p := range []place{
		{n.Client, "out port 2000"},
		{n.Client, "postrouting port 2000 noreject"},
		{n.Client, "in port 2000 priority 7"},
		{n.Client, "prerouting port 2000"},
		{n.Middle, "prerouting port 2000 priority -150"},
		{n.Middle, "forward port 2000"},
		{n.Middle, "postrouting port 2000 priority 300 noreject"},
		{n.Server, "prerouting port 2000"},
		{n.Server, "in port 2000"},
		{n.Server, "out port 2000"},
	} {
		for name, e := range families(n) {
			t.Run(p.rule+" "+name, func(t *testing.T) {
				rule := parse(t, p.rule+" offload tcp")
				labtest.Install(t, p.host, p.rule+" offload tcp", p.rule+" offload udp")
				seen := serve(t, p.host, 0, on("ping", rule.Offload.Accept))

				c, s, err := e.anew(2000).stream(t, n)
				labtest.Must(t, err)
				exchange(t, c, s, "ping")
				before := seen.Load()
				for range exchanges {
					exchange(t, c, s, "ping")
				}
				u, v := e.anew(2000).datagrams(t, n)
				exchange(t, u, v, "ping")
				between := seen.Load()
				for range exchanges {
					exchange(t, u, v, "ping")
				}
				got := seen.Load()
				if before > 4 || between > before+1 || got != between || got == 0 {
					t.Errorf("%d packets of the stream, %d of all, then %d were queued",
						before, between, got)
				}
			})
		}
	}
}

// TestOffloadReject: connect, or the first read, fails at once, and what follows is not
// queued.
func TestOffloadReject(t *testing.T) {
	n := labtest.Routed(t)
	for _, p := range []place{
		{n.Client, "out tcp dport 2000"},
		{n.Client, "out port 2000 tcp priority -150"},
		{n.Middle, "prerouting tcp dport 2000"},
		{n.Middle, "forward tcp port 2000"},
		{n.Server, "in tcp dport 2000"},
		{n.Server, "prerouting tcp dport 2000"},
	} {
		for name, e := range families(n) {
			t.Run(p.rule+" "+name, func(t *testing.T) {
				rule := parse(t, p.rule+" offload")
				udp := rule
				udp.Protocol = rules.UDP
				set, err := rules.Install(rules.Config{NetNS: p.host.FD()}, rule, udp)
				labtest.Must(t, err)
				defer set.Close()
				var first atomic.Bool
				seen := serve(t, p.host, 0, func(p *nfqueue.Packet) nfqueue.Verdict {
					if first.Load() || bytes.Contains(p.Payload(), []byte("ping")) {
						return rule.Offload.Reject(p)
					}
					return nfqueue.Accept
				})
				start := time.Now()
				c, s, err := e.anew(2000).stream(t, n)
				labtest.Must(t, err)
				if _, err := c.Write([]byte("ping")); err != nil {
					t.Fatal(err)
				}
				if _, err := c.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) {
					t.Errorf("read of the stream: %v, want ECONNRESET", err)
				}
				before := seen.Load()
				wantNothing(t, s)
				if got := seen.Load(); got != before {
					t.Errorf("%d packets were queued, then %d", before, got)
				}

				u, v := e.anew(2000).datagrams(t, n)
				for range 3 {
					exchange(t, u, v, "fine")
				}
				if _, err := u.Write([]byte("ping")); err != nil {
					t.Fatal(err)
				}
				if _, err := u.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNREFUSED) {
					t.Errorf("read of a datagram: %v, want ECONNREFUSED", err)
				}
				before = seen.Load()
				if _, err := u.Write([]byte("fine")); err != nil && !errors.Is(err, unix.EPERM) {
					t.Error(err)
				}
				if _, err := u.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNREFUSED) {
					t.Errorf("read of the next datagram: %v, want ECONNREFUSED", err)
				}
				if got := seen.Load(); got != before {
					t.Errorf("%d packets were queued, then %d", before, got)
				}

				first.Store(true)
				if _, _, err := e.anew(2000).stream(t, n); !errors.Is(err, unix.ECONNREFUSED) {
					t.Errorf("connect: %v, want ECONNREFUSED", err)
				}
				v.Close()
				u, _ = e.anew(2000).datagrams(t, n)
				if _, err := u.Write([]byte("first")); err != nil {
					t.Fatal(err)
				}
				if _, err := u.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNREFUSED) {
					t.Errorf("read after the first datagram: %v, want ECONNREFUSED", err)
				}
				if took := time.Since(start); took > patience/4 {
					t.Errorf("all that took %v", took)
				}
			})
		}
	}
}

// TestOffloadDrop: a connection that is dropped at its first data goes silent.
func TestOffloadDrop(t *testing.T) {
	n := labtest.Pair(t)
	for name, e := range families(n) {
		t.Run(name, func(t *testing.T) {
			labtest.Install(t, n.Client, "out udp offload")
			seen := serve(t, n.Client, 0, on("ping", rules.DefaultOffload.Drop))
			u, v := e.anew(2000).datagrams(t, n)
			exchange(t, u, v, "fine")
			other, w := e.anew(2001).datagrams(t, n)
			for range 20 {
				if _, err := u.Write([]byte("ping")); err != nil && !errors.Is(err, unix.EPERM) {
					t.Fatal(err)
				}
				exchange(t, other, w, "fine") // the verdict has been there and back
			}
			wantNothing(t, v)
			if got := seen.Load(); got != 22 {
				t.Errorf("%d packets were queued, want 1 of the connection, the one that ends "+
					"it, and 20 others", got)
			}
		})
	}
}

// TestOffloadQueuedBefore: packets that wait when their connection is decided are handled
// as decided, also when the handler accepts them, and when the rules that queue are gone.
func TestOffloadQueuedBefore(t *testing.T) {
	for _, stop := range []bool{false, true} {
		n := labtest.Pair(t)
		e := families(n)["IPv4"]
		set := labtest.Install(t, n.Client, "out udp offload")
		q, err := nfqueue.Open(nfqueue.Config{NetNS: n.Client.FD()})
		labtest.Must(t, err)
		ctx, cancel := context.WithCancel(context.Background())
		held := make(chan *nfqueue.Held, 20)
		var hold atomic.Bool
		served := make(chan error, 1)
		go func() {
			served <- q.Serve(ctx, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
				if hold.Load() {
					held <- p.Defer()
					return nfqueue.Deferred
				}
				return nfqueue.Accept
			}))
		}()
		u, v := e.anew(2000).datagrams(t, n)
		exchange(t, u, v, "before")
		hold.Store(true)
		var waiting []*nfqueue.Held
		for range 10 {
			if _, err := u.Write([]byte("ping")); err != nil {
				t.Fatal(err)
			}
			waiting = append(waiting, <-held)
		}
		hold.Store(false)
		if stop {
			labtest.Must(t, set.Stop())
		}
		labtest.Must(t, waiting[0].Resolve(rules.DefaultOffload.Drop(waiting[0].Packet())))
		for _, h := range waiting[1:] {
			labtest.Must(t, h.Resolve(nfqueue.Accept))
		}
		u, w := e.anew(2001).datagrams(t, n)
		exchange(t, u, w, "behind")
		wantNothing(t, v)
		cancel()
		labtest.Must(t, <-served)
	}
}

// TestOffloadKeepsBits: all other bits of both marks stay, and the packet leaves with the
// mark that it had, or that the handler has given it.
func TestOffloadKeepsBits(t *testing.T) {
	n := labtest.Pair(t)
	e := families(n)["IPv4"]
	// Another program marks the connection before.
	early := labtest.Chain(t, n.Client, netlab.IP, netlab.Output, -150)
	labtest.Rule(t, early, netlab.L4Proto(unix.IPPROTO_UDP), netlab.SaveMark())
	labtest.Install(t, n.Client, "out udp offload 0x28",
		"out udp queue 1 mark 0x80000041 ctmark 0x8000004b priority 5")
	offload := rules.Offload{Mask: 0x28}
	serve(t, n.Client, 0, func(p *nfqueue.Packet) nfqueue.Verdict {
		p.SetMark(p.Mark() &^ 0x2)
		return offload.Accept(p)
	})
	right := watch(t, n.Client, 1)
	u, v := e.anew(2000).datagrams(t, n)
	setMark(t, u, 0x80000043)
	_, err := u.Write([]byte("ping"))
	labtest.Must(t, err)
	wantReceived(t, v, []byte("ping"))
	if right.Load() != 1 {
		t.Error("the packet or the connection has another mark")
	}
}

// TestOffloadUntracked: a packet of no connection is decided alone, and its sender hears of it
// where that is rejected.
func TestOffloadUntracked(t *testing.T) {
	n := labtest.Routed(t)
	labtest.Rule(t, labtest.Chain(t, n.Middle, netlab.Inet, netlab.Prerouting, -300), netlab.NoTrack())
	labtest.Install(t, n.Middle, "forward udp port 2000 offload", "forward tcp port 2000 queue 1 offload",
		"forward udp queue 2 mark 0/0x30000000 priority 5")
	offload := rules.DefaultOffload
	judge := func(p *nfqueue.Packet) nfqueue.Verdict {
		switch b := p.Payload(); {
		case bytes.Contains(b, []byte("fine")):
			return offload.Accept(p)
		case bytes.Contains(b, []byte("drop")):
			return offload.Drop(p)
		case bytes.Contains(b, []byte("reject")):
			return offload.Reject(p)
		}
		return nfqueue.Accept
	}
	seen := serve(t, n.Middle, 0, judge)
	serve(t, n.Middle, 1, judge)
	unmarked := watch(t, n.Middle, 2)
	for name, e := range families(n) {
		t.Run(name, func(t *testing.T) {
			u, v := e.anew(2000).datagrams(t, n)
			queued, passed := seen.Load(), unmarked.Load()
			exchange(t, u, v, "fine")
			labtest.Must(t, say(u, "drop"))
			exchange(t, u, v, "fine")
			if got := seen.Load() - queued; got != 5 {
				t.Errorf("5 packets were queued %d times", got)
			}
			if got := unmarked.Load() - passed; got != 4 {
				t.Errorf("%d packets went on without the bits of the mark, want 4", got)
			}
			labtest.Must(t, say(u, "reject"))
			if _, err := u.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNREFUSED) {
				t.Errorf("read of a datagram: %v, want ECONNREFUSED", err)
			}
			wantNothing(t, v)

			c, s, err := e.anew(2000).stream(t, n)
			labtest.Must(t, err)
			exchange(t, c, s, "fine")
			labtest.Must(t, say(c, "reject"))
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) {
				t.Errorf("read of the stream: %v, want ECONNRESET", err)
			}
			wantNothing(t, s)
		})
	}
}

// TestOffloadWithoutRules: a handler whose rules are missing does not run in circles.
func TestOffloadWithoutRules(t *testing.T) {
	h := labtest.Host(t)
	labtest.Install(t, h, "out udp")
	seen := serve(t, h, 0, on("by the", rules.DefaultOffload.Accept))
	l := listenUDP(t, h, netip.AddrPortFrom(loopback, 2000))
	sendUDP(t, l, l, plain)
	wantReceived(t, l, plain)
	if got := seen.Load(); got != 2 {
		t.Errorf("the packet was queued %d times, want 2", got)
	}

	var log bytes.Buffer
	k := nfqueuetest.NewKernel(t)
	q := k.Serve(nfqueue.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))},
		nfqueue.HandlerFunc(rules.DefaultOffload.Accept))
	r := k.Send(0, nfqueuetest.Spec{
		Payload: nfqueuetest.UDP(netip.AddrPortFrom(loopback, 1), netip.AddrPortFrom(loopback, 2), nil),
	}).Result()
	labtest.Must(t, q.Close())
	if len(r.Hops) != 2 || !strings.Contains(log.String(), "give the rule") {
		t.Errorf("queued %d times, the log says %q", len(r.Hops), log.String())
	}
}

// TestFirst: only the first packets, or bytes, of a connection are queued, and later ones
// of the same connection are not.
func TestFirst(t *testing.T) {
	for rule, want := range map[string]int64{
		"out udp packets 5": 5,
		"in udp packets 5":  5, // the same packets: each passes both hooks
		"out udp bytes 160": 5, // of 20+8+4 each
		"out udp bytes 159": 4,
	} {
		t.Run(rule, func(t *testing.T) {
			h := labtest.Host(t)
			labtest.Install(t, h, rule)
			seen := watch(t, h, 0)
			l := listenUDP(t, h, netip.AddrPortFrom(loopback, 2000))
			other := listenUDP(t, h, netip.AddrPortFrom(loopback, 2001))
			for range 10 {
				sendUDP(t, other, l, []byte("ping"))
				wantReceived(t, l, []byte("ping"))
			}
			if got := seen.Load(); got != want {
				t.Errorf("%d packets were queued, want %d", got, want)
			}
		})
	}
}

// TestOffloadKilled: connections go on when the program that decided them is killed.
func TestOffloadKilled(t *testing.T) {
	n := labtest.Pair(t)
	cmd, name := startOwner(t, n.Client, "out tcp dport 2000 nobypass offload")
	c, s, err := families(n)["IPv4"].anew(2000).stream(t, n)
	labtest.Must(t, err)
	exchange(t, c, s, "ping")
	labtest.Must(t, cmd.Process.Kill())
	_ = cmd.Wait()
	if labtest.AtLeast(t, 5, 12) && len(tables(t, n.Client)) != 0 {
		t.Errorf("the table %s is left", name)
	}
	exchange(t, c, s, "pong")
}
