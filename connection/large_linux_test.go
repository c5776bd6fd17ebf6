// SPDX-License-Identifier: GPL-2.0-or-later

package connection_test

import (
	"context"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/connection"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/rules"
)

// long answers when the original direction has a whole line: whether it begins well.
func long(c *connection.Conn) connection.Answer {
	text := string(c.Bytes(connection.Original))
	switch {
	case !strings.Contains(text, "\n"):
		return connection.More
	case strings.HasPrefix(text, "good"):
		return connection.Accept
	}
	return connection.Drop
}

// Requests of several super-packets are held whole, and arrive whole at a server whose window is
// smaller, so that it acknowledges them little by little.
func TestLargeRequests(t *testing.T) {
	n := labtest.Routed(t)
	install(t, n.Middle, "forward tcp port 443 offload")
	tr := connection.New(connection.Config{Hold: true, Offload: rules.DefaultOffload},
		connection.HandlerFunc(long))
	var super atomic.Int32
	serve(t, n.Middle, nfqueue.Config{}, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		if p.SKBInfo()&nfqueue.SegmentationPending != 0 {
			super.Add(1)
		}
		return tr.ServePacket(p)
	}))
	r := rand.New(rand.NewPCG(1, 2))
	for _, addr := range []netip.Addr{n.Server4, n.Server6} {
		at := netip.AddrPortFrom(addr, 443)
		l := listen(t, n, at)
		for i := range 6 {
			c, err := netlab.In(n.Client, func() (net.Conn, error) { return net.Dial("tcp", at.String()) })
			labtest.Must(t, err)
			s, err := l.AcceptTCP()
			labtest.Must(t, err)
			window := i%2 == 0
			if window { // the smallest that the kernel allows
				labtest.Must(t, s.SetReadBuffer(1))
			}
			body := make([]byte, 8000+r.IntN(3000))
			for j := range body {
				body[j] = byte('a' + r.IntN(26))
			}
			text, want := "good"+string(body)+"\n", ""
			if i < 3 {
				want = text
			} else {
				text = "bad" + text
			}
			written := make(chan error, 1)
			go func() { written <- say(c, text) }()
			limit := patience
			if want == "" {
				limit = 300 * time.Millisecond
			}
			if got := hears(s, max(len(want), 1), limit); got != want {
				t.Fatalf("%v, small window %v: heard %d bytes of %d: %+v", addr, window, len(got),
					len(want), tr.Stats())
			}
			for _, end := range []net.Conn{c, s} {
				labtest.Must(t, end.(*net.TCPConn).SetLinger(0))
				end.Close()
			}
			<-written
		}
	}
	if s := tr.Stats(); s.Accepted != 6 || s.Dropped != 6 || s.Conflicts != 0 || s.Memory != 0 {
		t.Errorf("%+v", s)
	}
	if super.Load() == 0 {
		t.Error("no super-packet was queued")
	}
}

// Connections go on when a process hands the queue over: decided ones in the kernel, and others with
// the next process, which has not seen their beginning.
func TestHandOver(t *testing.T) {
	n := labtest.Routed(t)
	install(t, n.Middle, "forward tcp port 443 offload")
	q, err := nfqueue.Open(nfqueue.Config{NetNS: n.Middle.FD()})
	labtest.Must(t, err)
	var middle atomic.Int32
	tracker := func() *connection.Tracker {
		return connection.New(connection.Config{Hold: true, Offload: rules.DefaultOffload},
			connection.HandlerFunc(func(c *connection.Conn) connection.Answer {
				if c.Middle() {
					middle.Add(1)
				}
				return line(c)
			}))
	}
	served := make(chan error, 1)
	before := tracker()
	go func() { served <- q.Serve(context.Background(), before) }()

	at := netip.AddrPortFrom(n.Server4, 443)
	l := listen(t, n, at)
	connect := func() (c, s net.Conn) {
		t.Helper()
		c, err := dial(n, 0, at)
		labtest.Must(t, err)
		s, err = l.Accept()
		labtest.Must(t, err)
		t.Cleanup(func() { c.Close(); s.Close() })
		return c, s
	}
	c, s := connect()
	labtest.Must(t, say(c, "good\n"))
	if got := hears(s, 5, patience); got != "good\n" {
		t.Fatalf("heard %q", got)
	}
	labtest.Must(t, say(s, "fine"))
	_ = hears(c, 4, patience)
	quiet, quietServer := connect()
	bad, badServer := connect()

	f, err := q.File()
	labtest.Must(t, err)
	next, err := nfqueue.OpenFile(f, nfqueue.Config{})
	labtest.Must(t, err)
	labtest.Must(t, q.Release(context.Background()))
	<-served
	after := tracker()
	go func() { served <- next.Serve(context.Background(), after) }()
	defer func() {
		labtest.Must(t, next.Close())
		<-served
	}()

	labtest.Must(t, say(c, "bad\n")) // decided
	if got := hears(s, 4, patience); got != "bad\n" {
		t.Errorf("heard %q", got)
	}
	labtest.Must(t, say(quiet, "go", "od\n"))
	if got := hears(quietServer, 5, patience); got != "good\n" {
		t.Errorf("heard %q", got)
	}
	labtest.Must(t, say(bad, "bad\n"))
	if got := hears(badServer, 1, 300*time.Millisecond); got != "" {
		t.Errorf("heard %q", got)
	}
	if s := after.Stats(); s.Accepted != 1 || s.Dropped != 1 || middle.Load() == 0 {
		t.Errorf("%+v, %d in the middle", s, middle.Load())
	}
}
