// SPDX-License-Identifier: GPL-2.0-or-later

package connection_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/connection"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
	"github.com/chifflier/nfqueue-go/rules"
	"golang.org/x/sys/unix"
)

// shuffle lets each packet of a queue go on after a time of its own: up to 10 ms, so that
// packets overtake each other.
func shuffle(p *nfqueue.Packet) nfqueue.Verdict {
	h := p.Defer()
	time.AfterFunc(time.Duration(rand.Int64N(int64(10*time.Millisecond))),
		func() { _ = h.Resolve(nfqueue.Accept) })
	return nfqueue.Deferred
}

// Of 200 connections whose packets are delayed by up to 10 ms, and so come out of order,
// the server hears the whole hello for an allowed name, and no byte for a blocked one.
func TestJitter(t *testing.T) {
	n := labtest.Pair(t)
	labtest.Install(t, n.Client, "out tcp dport 443 queue 1")
	serve(t, n.Client, nfqueue.Config{Queue: 1}, nfqueue.HandlerFunc(shuffle))
	labtest.Install(t, n.Server, "in tcp dport 443 offload", "out tcp sport 443 offload")
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
	n := newRouter(t, connection.Config{Hold: true}, rejectByName, nil)
	for i, addr := range []netip.Addr{n.Server4, n.Server6} {
		l := listen(t, n.Network, netip.AddrPortFrom(addr, 443))
		port := uint16(5000 + i)
		for round, text := range []string{hello(blockedName), hello("www.example"),
			hello("www.example")[:20], hello("www.example"), hello(blockedName), hello("www.example")} {
			c, s := connect(t, n.Network, port, l)
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
			reset(t, c, s)
		}
	}
	if s := n.Stats(); s.Accepted != 6 || s.Rejected != 4 {
		t.Errorf("%+v", s)
	}
}

func rejectByName(c *connection.Conn) connection.Answer {
	if a := byName(c); a != connection.Drop {
		return a
	}
	return connection.Reject
}

// The verdict for the last packet of an accepted connection does not decide the next one with the
// same ports, whose SYN waits behind it, if conntrack takes both for one.
func TestPortsAgainBehindAccept(t *testing.T) {
	dialled := make(chan struct{})
	n := newRouter(t, connection.Config{Hold: true}, rejectByName, func(p *nfqueue.Packet) {
		flow, _ := p.Flow()
		tcp, ok := p.Transport()
		if !ok || flow.SrcPort != 443 || nfqueuetest.TCPFlags(tcp.Header[13]) != nfqueuetest.ACK {
			return
		}
		select { // the server's answer to a hello waits
		case <-dialled:
		case <-t.Context().Done():
		}
	})
	for i, addr := range []netip.Addr{n.Server4, n.Server6} {
		l := listen(t, n.Network, netip.AddrPortFrom(addr, 443))
		port := uint16(5000 + i)
		c, s := connect(t, n.Network, port, l)
		text := hello("www.example")
		labtest.Must(t, say(c, text))
		if got := hears(s, len(text), patience); got != text {
			t.Fatalf("%v: heard %q", addr, got)
		}
		labtest.Forget(t, c, s)
		go func() {
			for n.queue.Stats().Kernel.Backlog < 2 {
				runtime.Gosched()
			}
			dialled <- struct{}{}
		}()
		c, s = connect(t, n.Network, port, l)
		labtest.Must(t, say(c, hello(blockedName)))
		if got := hears(s, 1, 300*time.Millisecond); got != "" {
			t.Errorf("%v: heard %q", addr, got)
		}
		wantRefused(t, c, unix.ECONNRESET)
	}
}

// After the verdict's round trip no packet of a decided connection is queued.
func TestOffloaded(t *testing.T) {
	n := newRouter(t, connection.Config{Hold: true}, line, nil)
	c, s := connect(t, n.Network, 0, listen(t, n.Network, netip.AddrPortFrom(n.Server4, 443)))
	exchange(t, c, s, "good\n")
	before := n.seen.Load()
	for i := range 200 {
		exchange(t, c, s, fmt.Sprintf("bad %3d\n", i))
	}
	if got := n.seen.Load(); got != before || before > 6 {
		t.Errorf("%d packets were queued until the decision, %d in all", before, got)
	}
}

// Reject ends the wait of a client at once, also in connect, over TCP and UDP.
func TestKernelReject(t *testing.T) {
	n := newRouter(t, connection.Config{Hold: true},
		func(*connection.Conn) connection.Answer { return connection.Reject }, nil)
	for _, addr := range []netip.Addr{n.Server4, n.Server6} {
		at := netip.AddrPortFrom(addr, 443)
		start := time.Now()
		if _, err := dial(n.Network, 0, at); !errors.Is(err, unix.ECONNREFUSED) {
			t.Errorf("connect to %v: %v", addr, err)
		}
		u, err := netlab.In(n.Client, func() (net.Conn, error) { return net.Dial("udp", at.String()) })
		labtest.Must(t, err)
		defer u.Close()
		labtest.Must(t, say(u, "anything"))
		wantRefused(t, u, unix.ECONNREFUSED)
		if took := time.Since(start); took > patience/4 {
			t.Errorf("%v: all that took %v", addr, took)
		}
	}
}
