// SPDX-License-Identifier: GPL-2.0-or-later

package connection_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/connection"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/rules"
	"golang.org/x/sys/unix"
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

// startAt has a socket begin with a sequence number.
func startAt(isn uint32) func(fd int) error {
	return func(fd int) (err error) {
		const sendQueue = 2 // TCP_SEND_QUEUE
		for _, o := range []struct{ name, value int }{
			{unix.TCP_REPAIR, 1},
			{unix.TCP_REPAIR_QUEUE, sendQueue},
			{unix.TCP_QUEUE_SEQ, int(int32(isn))},
			{unix.TCP_REPAIR, 0},
		} {
			err = errors.Join(err, unix.SetsockoptInt(fd, unix.IPPROTO_TCP, o.name, o.value))
		}
		return err
	}
}

const (
	// A router forwards super-packets of IPv6 with destination options if the first four bits of
	// their sequence numbers make a small number; see docs/kernels.md.
	forwardedISN = 1 << 28
	// It loses those whose bits make a large one.
	lostISN = 15 << 28
)

// letters returns a text of n random letters.
func letters(r *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('a' + r.IntN(26))
	}
	return string(b)
}

// Requests of several super-packets are held whole, and arrive whole at a server whose window is
// smaller, so that it acknowledges them little by little.
func TestLargeRequests(t *testing.T) {
	var super atomic.Int32
	n := newRouter(t, connection.Config{Hold: true}, long, func(p *nfqueue.Packet) {
		if p.SKBInfo()&nfqueue.SegmentationPending != 0 {
			super.Add(1)
		}
	})
	r := rand.New(rand.NewPCG(1, 2))
	for _, addr := range []netip.Addr{n.Server4, n.Server6} {
		l := listen(t, n.Network, netip.AddrPortFrom(addr, 443))
		for i := range 6 {
			c, s := connect(t, n.Network, 0, l, startAt(forwardedISN))
			window := i%2 == 0
			if window { // the smallest that the kernel allows
				labtest.Must(t, s.SetReadBuffer(1))
			}
			text, want := "good"+letters(r, 8000+r.IntN(3000))+"\n", ""
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
					len(want), n.Stats())
			}
			reset(t, c, s)
			<-written
		}
	}
	if s := n.Stats(); s.Accepted != 6 || s.Dropped != 6 || s.Conflicts != 0 || s.Memory != 0 {
		t.Errorf("%+v", s)
	}
	if super.Load() == 0 {
		t.Error("no super-packet was queued")
	}
}

// The kernel of a router loses super-packets of IPv6 with destination options. Their sender
// repeats the first segment until it is acknowledged, and then the others. So a request that
// passes arrives; one that is held gets the Fallback, and the server hears nothing of it.
func TestLostSuperPackets(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, hold := range []bool{false, true} {
		n := newRouter(t, connection.Config{Hold: hold, Timeout: 2 * time.Second}, long, nil)
		l := listen(t, n.Network, netip.AddrPortFrom(n.Server6, 443))
		c, s := connect(t, n.Network, 0, l, startAt(lostISN))
		text, limit := "good"+letters(r, 9000)+"\n", patience
		labtest.Must(t, say(c, text))
		if hold {
			limit = 4 * time.Second
		}
		got, stats := hears(s, len(text), limit), n.Stats()
		lost := hold && got == "" && stats.Fallback.Time == 1
		if whole := got == text && stats.Accepted == 1; !whole && !lost {
			t.Errorf("hold %v: heard %d bytes of %d: %+v", hold, len(got), len(text), stats)
		}
	}
}

// Without an acknowledgement a client repeats the last segment once, and the first one. That is
// enough for a held request of two segments of which one is lost, not for one in the middle.
func TestHeldLoss(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, c := range []struct {
		size, lost int // lost: which segment
		heard      bool
	}{{2000, 0, true}, {2000, 1, true}, {5000, 0, true}, {5000, 3, true}, {5000, 1, false}} {
		n := labtest.Pair(t)
		labtest.Install(t, n.Client, "out tcp dport 443 queue 1")
		segments := 0
		serve(t, n.Client, nfqueue.Config{Queue: 1, Flags: nfqueue.NoGSO},
			nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
				if tcp, ok := p.Transport(); !ok || len(tcp.Body) == 0 {
					return nfqueue.Accept
				}
				if segments++; segments == c.lost+1 {
					return nfqueue.Drop
				}
				return nfqueue.Accept
			}))
		labtest.Install(t, n.Server, "in tcp dport 443 offload", "out tcp sport 443 offload")
		tr := connection.New(
			connection.Config{Hold: true, Offload: rules.DefaultOffload, Timeout: 2 * time.Second},
			connection.HandlerFunc(long))
		serve(t, n.Server, nfqueue.Config{}, tr)
		client, s := connect(t, n, 0, listen(t, n, netip.AddrPortFrom(n.Server4, 443)))
		text, want, limit := "good"+letters(r, c.size)+"\n", "", 4*time.Second
		if c.heard {
			want, limit = text, patience
		}
		labtest.Must(t, say(client, text))
		got, stats := hears(s, len(text), limit), tr.Stats()
		if got != want || (stats.Accepted == 1) != c.heard || (stats.Fallback.Time == 1) == c.heard {
			t.Errorf("segment %d of %d bytes lost: heard %d bytes: %+v", c.lost, c.size, len(got), stats)
		}
	}
}

// Connections go on when a process hands the queue over: decided ones in the kernel, and others with
// the next process, which has not seen their beginning.
func TestHandOver(t *testing.T) {
	n := labtest.Routed(t)
	labtest.Install(t, n.Middle, "forward tcp port 443 offload")
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

	l := listen(t, n, netip.AddrPortFrom(n.Server4, 443))
	c, s := connect(t, n, 0, l)
	exchange(t, c, s, "good\n")
	quiet, quietServer := connect(t, n, 0, l)
	bad, badServer := connect(t, n, 0, l)

	f, err := q.File()
	labtest.Must(t, err)
	next, err := nfqueue.OpenFile(f, nfqueue.Config{})
	labtest.Must(t, err)
	labtest.Must(t, f.Close())
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
