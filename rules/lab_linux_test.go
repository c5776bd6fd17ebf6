// SPDX-License-Identifier: GPL-2.0-or-later

package rules_test

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	if os.Getenv(ownerEnv) != "" {
		own()
		return
	}
	labtest.Main(m)
}

// patience bounds every wait for something that must come.
const patience = 20 * time.Second

// What is sent, and what a handler makes of it, so that the receiver sees which packets
// were queued.
var plain, queued = []byte("by the wayside"), []byte("through queue ")

// rewrite serves a queue until the test ends, stamps what passes through it, and counts
// it.
func rewrite(t testing.TB, h *netlab.Host, queue uint16) *atomic.Int64 {
	t.Helper()
	labtest.NeedReplace(t)
	return serve(t, h, queue, stamp)
}

// watch serves a queue until the test ends and counts what passes through it.
func watch(t testing.TB, h *netlab.Host, queue uint16) *atomic.Int64 {
	t.Helper()
	return serve(t, h, queue, func(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Accept })
}

// serve counts packets before their verdicts.
func serve(t testing.TB, h *netlab.Host, queue uint16, judge nfqueue.HandlerFunc) *atomic.Int64 {
	t.Helper()
	var count atomic.Int64
	queuelab.Serve(t, h, nfqueue.Config{Queue: queue}, func(p *nfqueue.Packet) nfqueue.Verdict {
		count.Add(1)
		return judge(p)
	})
	return &count
}

func stamp(p *nfqueue.Packet) nfqueue.Verdict {
	b := p.Payload()
	if i := bytes.Index(b, plain); i >= 0 {
		copy(b[i:], queued)
		if err := p.SetPayload(b); err != nil {
			return nfqueue.Drop
		}
	}
	return nfqueue.Accept
}

// listenUDP listens for datagrams in a host.
func listenUDP(t testing.TB, h *netlab.Host, at netip.AddrPort) *net.UDPConn {
	t.Helper()
	l, err := netlab.In(h, func() (*net.UDPConn, error) {
		return net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	})
	labtest.Must(t, err)
	t.Cleanup(func() { l.Close() })
	labtest.Must(t, l.SetReadDeadline(time.Now().Add(patience)))
	return l
}

// sendUDP sends a datagram from one socket to another.
func sendUDP(t testing.TB, from, to *net.UDPConn, data []byte) {
	t.Helper()
	at := to.LocalAddr().(*net.UDPAddr).AddrPort()
	if _, err := from.WriteToUDPAddrPort(data, at); err != nil {
		t.Fatal(err)
	}
}

// awaitUnqueued returns when what one socket sends to another arrives, because the rule has gone
// that keeps it.
func awaitUnqueued(t testing.TB, from, to *net.UDPConn) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		sendUDP(t, from, to, plain)
		labtest.Must(t, to.SetReadDeadline(time.Now().Add(time.Millisecond)))
		if _, _, err := to.ReadFrom(make([]byte, 100)); err == nil {
			return
		}
	}
	t.Fatal("the rule does not go")
}

// setMark sets the mark of what a socket sends.
func setMark(t testing.TB, c *net.UDPConn, mark uint32) {
	t.Helper()
	raw, err := c.SyscallConn()
	labtest.Must(t, err)
	var optErr error
	labtest.Must(t, raw.Control(func(fd uintptr) {
		optErr = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, int(mark))
	}))
	labtest.Must(t, optErr)
}

// receive returns the next datagram.
func receive(t testing.TB, c net.PacketConn) []byte {
	t.Helper()
	b := make([]byte, 1<<16)
	n, _, err := c.ReadFrom(b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}

// wantReceived checks the next datagram.
func wantReceived(t testing.TB, c net.PacketConn, want []byte) {
	t.Helper()
	if got := receive(t, c); !bytes.Equal(got, want) {
		t.Fatalf("received %q, want %q", got, want)
	}
}
