// SPDX-License-Identifier: GPL-2.0-or-later

package rules_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
	"github.com/chifflier/nfqueue-go/rules"
	"golang.org/x/sys/unix"
)

// TestOffloadPortsAgain: a connection that uses the ports of one that was decided is
// undecided, also where conntrack goes on with the same entry.
func TestOffloadPortsAgain(t *testing.T) {
	n := labtest.Routed(t)
	for name, e := range families(n) {
		t.Run(name, func(t *testing.T) {
			labtest.Install(t, n.Middle, "forward tcp port 2000 offload")
			serve(t, n.Middle, 0, func(p *nfqueue.Packet) nfqueue.Verdict {
				switch b := p.Payload(); {
				case bytes.Contains(b, []byte("drop")):
					return rules.DefaultOffload.Drop(p)
				case bytes.Contains(b, []byte("ping")):
					return rules.DefaultOffload.Reject(p)
				case bytes.Contains(b, []byte("fine")):
					return rules.DefaultOffload.Accept(p)
				}
				return nfqueue.Accept
			})
			e := e.anew(2000)
			for _, text := range []string{"ping", "fine", "drop", "fine", "ping", "fine"} {
				c, s, err := e.stream(t, n)
				labtest.Must(t, err)
				if text == "fine" {
					exchange(t, c, s, text)
				} else if _, err := io.WriteString(c, text); err != nil {
					t.Fatal(err)
				}
				if text == "ping" {
					if _, err := c.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) {
						t.Errorf("read: %v, want ECONNRESET", err)
					}
				}
				for _, end := range []*net.TCPConn{c, s} { // with a reset: the ports are free
					labtest.Must(t, end.SetLinger(0))
					end.Close()
				}
			}
		})
	}
}

// TestOffloadPortsAgainBehind: a SYN that waits behind a packet of the decided connection makes the
// connection undecided when it leaves, unless it is what decides anew.
func TestOffloadPortsAgainBehind(t *testing.T) {
	for _, rule := range []string{
		"prerouting tcp port 2000 offload noreject", "forward tcp port 2000 offload",
		"postrouting tcp port 2000 offload noreject",
	} {
		t.Run(rule, func(t *testing.T) {
			n := labtest.Routed(t)
			labtest.Install(t, n.Middle, rule)
			usePortsAgain(t, n, parse(t, rule).Offload)
		})
	}
}

// usePortsAgain uses the ports of decided connections again while their last packets are queued in
// the router.
func usePortsAgain(t *testing.T, n *netlab.Network, offload rules.Offload) {
	t.Helper()
	drop := labtest.Chain(t, n.Middle, netlab.Inet, netlab.Postrouting, 100)
	var waits atomic.Bool
	waiting := make(chan *nfqueue.Held)
	pinged := make(chan struct{}, 1)
	seen := serve(t, n.Middle, 0, func(p *nfqueue.Packet) nfqueue.Verdict {
		tcp, _ := p.Transport()
		switch syn := tcp.Header[13] == byte(nfqueuetest.SYN); {
		case waits.Load() && syn, string(tcp.Body) == "fine" && waits.CompareAndSwap(false, true):
			waiting <- p.Defer()
			return nfqueue.Deferred
		case waits.Load():
			return nfqueue.Drop // what is sent again
		}
		if bytes.Contains(p.Payload(), []byte("ping")) {
			select {
			case pinged <- struct{}{}:
			default: // sent again
			}
			return offload.Reject(p)
		}
		return nfqueue.Accept
	})
	for name, e := range families(n) {
		for _, anew := range []bool{false, true} {
			e := e.anew(2000)
			c, s, err := e.stream(t, n)
			labtest.Must(t, err)
			exchange(t, c, s, "before")
			acknowledged(t, s)
			labtest.Must(t, say(s, "fine"))
			last := <-waiting
			labtest.Forget(t, c, s)
			type stream struct {
				c, s *net.TCPConn
				err  error
			}
			again := make(chan stream)
			go func() {
				c, s, err := e.stream(t, n)
				again <- stream{c, s, err}
			}()
			syn := <-waiting
			waits.Store(false)
			lost := labtest.Rule(t, drop, netlab.L4Proto(unix.IPPROTO_TCP), netlab.SrcPort(2000),
				netlab.Drop())
			labtest.Must(t, last.Resolve(offload.Accept(last.Packet())))
			labtest.Must(t, lost.Delete())
			v := nfqueue.Accept
			if anew {
				v = offload.Accept(syn.Packet())
			}
			labtest.Must(t, syn.Resolve(v))
			next := <-again
			labtest.Must(t, next.err)
			before := seen.Load()
			if anew {
				exchange(t, next.c, next.s, "ping")
				if got := seen.Load(); got != before {
					t.Errorf("%s: %d packets were queued", name, got-before)
				}
				continue
			}
			labtest.Must(t, say(next.c, "ping"))
			select {
			case <-pinged:
			case <-time.After(patience):
				t.Errorf("%s: not queued", name)
			}
			if !offload.NoReject {
				if _, err := next.c.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) {
					t.Errorf("%s: read: %v, want ECONNRESET", name, err)
				}
			}
			wantNothing(t, next.s)
		}
	}
}

// TestOffloadUnanswered: a SYN also undecides what conntrack has begun to follow with a packet in
// the middle of a connection, which was not answered. With tcp_loose=0 conntrack begins with no packet
// of the server.
func TestOffloadUnanswered(t *testing.T) {
	n := labtest.Routed(t)
	labtest.Install(t, n.Middle, "forward tcp port 2000 offload")
	serve(t, n.Middle, 0, func(p *nfqueue.Packet) nfqueue.Verdict {
		switch b := p.Payload(); {
		case bytes.Contains(b, []byte("fine")):
			return rules.DefaultOffload.Accept(p)
		case bytes.Contains(b, []byte("ping")):
			return rules.DefaultOffload.Reject(p)
		}
		return nfqueue.Accept
	})
	inputs := map[*netlab.Host]*netlab.Chain{
		n.Server: labtest.Chain(t, n.Server, netlab.Inet, netlab.Input, 0),
		n.Client: labtest.Chain(t, n.Client, netlab.Inet, netlab.Input, 0),
	}
	for _, begins := range []*netlab.Host{n.Client, n.Server} {
		other := n.Server
		if begins == n.Server {
			other = n.Client
			labtest.Must(t, n.Middle.SetSysctl("netfilter/nf_conntrack_tcp_loose", "0"))
		}
		for name, e := range families(n) {
			e := e.anew(2000)
			from, to := e.from, e.to
			if begins == n.Server {
				from, to = to, from
			}
			lost := labtest.Rule(t, inputs[other], netlab.L4Proto(unix.IPPROTO_TCP), netlab.Counter(),
				netlab.Drop())
			h := nfqueuetest.TCPHeader{Flags: nfqueuetest.ACK, Seq: 1, Ack: 1}
			sendRaw(t, begins, to.Addr(), nfqueuetest.TCP(from, to, h, []byte("fine")))
			awaitCount(t, lost)
			labtest.Must(t, lost.Delete())
			c, s, err := e.stream(t, n)
			labtest.Must(t, err)
			labtest.Must(t, say(c, "ping"))
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) {
				t.Errorf("%s, from %v: read: %v, want ECONNRESET", name, from, err)
			}
			wantNothing(t, s)
		}
	}
}

// TestOffloadInvalidSYN: a SYN that conntrack takes for invalid, because it has begun with a packet
// of the server, opens no connection, as that would inherit the decision.
func TestOffloadInvalidSYN(t *testing.T) {
	n := labtest.Routed(t)
	labtest.Install(t, n.Middle, "forward tcp port 2000 offload")
	serve(t, n.Middle, 0, on("fine", rules.DefaultOffload.Accept))
	server := labtest.Chain(t, n.Server, netlab.Inet, netlab.Input, 0)
	client := labtest.Chain(t, n.Client, netlab.Inet, netlab.Input, 0)
	for name, e := range families(n) {
		e := e.anew(2000)
		arrived := labtest.Rule(t, server, netlab.L4Proto(unix.IPPROTO_TCP), netlab.SrcPort(e.from.Port()),
			netlab.Counter())
		lost := labtest.Rule(t, client, netlab.L4Proto(unix.IPPROTO_TCP), netlab.DstPort(e.from.Port()),
			netlab.Counter(), netlab.Drop())
		ack := nfqueuetest.TCPHeader{Flags: nfqueuetest.ACK, Seq: 1, Ack: 1}
		sendRaw(t, n.Server, e.from.Addr(), nfqueuetest.TCP(e.to, e.from, ack, []byte("fine")))
		awaitCount(t, lost)
		syn := nfqueuetest.TCPHeader{Flags: nfqueuetest.SYN, Seq: 1000}
		sendRaw(t, n.Client, e.to.Addr(), nfqueuetest.TCP(e.from, e.to, syn, nil))
		c, s, err := e.anew(2000).stream(t, n)
		labtest.Must(t, err)
		exchange(t, c, s, "behind")
		if packets, _, err := arrived.Count(); err != nil || packets != 0 {
			t.Errorf("%s: %d packets arrived, %v", name, packets, err)
		}
	}
}

// awaitCount waits until a rule has counted a packet.
func awaitCount(t *testing.T, r *netlab.Rule) {
	t.Helper()
	for packets := uint64(0); packets == 0; runtime.Gosched() {
		var err error
		packets, _, err = r.Count()
		labtest.Must(t, err)
	}
}

// acknowledged waits until the other end has acknowledged all.
func acknowledged(t *testing.T, c *net.TCPConn) {
	t.Helper()
	raw, err := c.SyscallConn()
	labtest.Must(t, err)
	for left := 1; left > 0; runtime.Gosched() {
		e := raw.Control(func(fd uintptr) { left, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
		labtest.Must(t, errors.Join(e, err))
	}
}
