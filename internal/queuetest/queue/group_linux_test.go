// SPDX-License-Identifier: GPL-2.0-or-later

package queue_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
)

// TestGroup spreads the datagrams of many addresses over queues, and counts those of each queue.
func TestGroup(t *testing.T) {
	h := labtest.Host(t)
	queuelab.QueueUDP(t, labtest.Chain(t, h, netlab.IP, netlab.Output, 0),
		netlab.Queue{Num: 4, Total: 3})
	g, err := nfqueue.OpenGroup(nfqueue.Config{Queue: 4, NetNS: h.FD()}, 3)
	labtest.Must(t, err)
	defer g.Close()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	var count [3]int // each written by the goroutine of one queue
	go func() {
		served <- g.ServeEach(ctx, func(queue uint16) nfqueue.Handler {
			return nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
				if p.Queue() != queue {
					t.Errorf("the handler of queue %d got a packet of queue %d", queue, p.Queue())
				}
				count[queue-4]++
				return nfqueue.Accept
			})
		})
	}()
	const addresses = 60
	for i := range byte(addresses) {
		at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 1, i}), queuelab.Port)
		l := queuelab.ListenUDP(t, h, at)
		queuelab.Send(t, queuelab.DialUDP(t, h, at), fmt.Sprint(i))
		queuelab.Receive(t, l, fmt.Sprint(i))
	}
	cancel()
	if err := queuelab.WaitFor(t, served); err != nil {
		t.Fatal(err)
	}
	s := g.Stats()
	if s.Received != addresses || s.Accepted != addresses || count[0]+count[1]+count[2] != addresses ||
		count[0] == 0 || count[1] == 0 || count[2] == 0 {
		t.Errorf("%v packets in the queues; statistics %+v", count, s)
	}
	for i, q := range g.Queues() {
		if got := q.Stats().Received; got != uint64(count[i]) {
			t.Errorf("queue %d received %d packets, its handler %d", q.Number(), got, count[i])
		}
	}
}

// TestGroupOpensAllOrNone: a queue in the range is taken.
func TestGroupOpensAllOrNone(t *testing.T) {
	h := labtest.Host(t)
	queuelab.Open(t, h, nfqueue.Config{Queue: 6})
	_, err := nfqueue.OpenGroup(nfqueue.Config{Queue: 4, NetNS: h.FD()}, 3)
	wantOpError(t, err, 6, nfqueue.ErrQueueInUse, "queue 6")
	queuelab.Open(t, h, nfqueue.Config{Queue: 4})
	queuelab.Open(t, h, nfqueue.Config{Queue: 5})
	for _, r := range []struct {
		first uint16
		count int
	}{{0, 0}, {0, -1}, {65535, 2}, {0, 65537}} {
		if _, err := nfqueue.OpenGroup(nfqueue.Config{Queue: r.first, NetNS: h.FD()},
			r.count); err == nil {
			t.Errorf("opened %d queues from %d on", r.count, r.first)
		}
	}
}

// TestGroupEndsTogether: a handler that panics, or ends its goroutine, ends the group. The other
// queues lose no packet.
func TestGroupEndsTogether(t *testing.T) {
	for _, c := range misdeeds {
		t.Run(c.name, func(t *testing.T) {
			h := labtest.Host(t)
			chain := labtest.Chain(t, h, netlab.IP, netlab.Output, 0)
			g, err := nfqueue.OpenGroup(nfqueue.Config{NetNS: h.FD()}, 2)
			labtest.Must(t, err)
			defer g.Close()
			var listeners [2]*net.UDPConn
			for i := range uint16(2) {
				labtest.Rule(t, chain, netlab.L4Proto(queuelab.UDP), netlab.DstPort(queuelab.Port+i),
					netlab.ToQueue(netlab.Queue{Num: i, Bypass: true}))
				at := netip.AddrPortFrom(queuelab.Localhost, queuelab.Port+i)
				listeners[i] = queuelab.ListenUDP(t, h, at)
				queuelab.Send(t, queuelab.DialUDP(t, h, at), "1", "2", "3")
			}
			err = g.ServeEach(context.Background(), func(queue uint16) nfqueue.Handler {
				return nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
					if queue == 1 && p.ID() == 2 {
						c.do()
					}
					return nfqueue.Accept
				})
			})
			var p *nfqueue.PanicError
			if !errors.As(err, &p) || p.Value != c.value ||
				!bytes.Contains(p.Stack, []byte("TestGroupEndsTogether")) {
				t.Fatalf("ServeEach: %v", err)
			}
			queuelab.Receive(t, listeners[0], "1", "2", "3")
			queuelab.Receive(t, listeners[1], "1")
			if s := g.Stats(); s.Received != 6 || s.Accepted != 4 || s.Fallback.Panic != 1 ||
				s.Fallback.Shutdown != 1 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// TestGroupServedOnce: a group that is being served, and a queue of it, goes on when a second Serve
// is refused.
func TestGroupServedOnce(t *testing.T) {
	h := labtest.Host(t)
	chain := labtest.Chain(t, h, netlab.IP, netlab.Output, 0)
	queuelab.QueueUDP(t, chain, netlab.Queue{Num: 1})
	g, err := nfqueue.OpenGroup(nfqueue.Config{Queue: 1, NetNS: h.FD()}, 2)
	labtest.Must(t, err)
	defer g.Close()
	at := netip.AddrPortFrom(queuelab.Localhost, queuelab.Port)
	l, c := queuelab.ListenUDP(t, h, at), queuelab.DialUDP(t, h, at)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- g.Serve(ctx, queuelab.Always(nfqueue.Accept)) }()
	queuelab.Send(t, c, "1")
	queuelab.Receive(t, l, "1")
	wantOpError(t, g.ServeEach(t.Context(), func(uint16) nfqueue.Handler {
		t.Error("a handler was made")
		return queuelab.Always(nfqueue.Drop)
	}), 1, nfqueue.ErrServing, "serve")
	queuelab.Send(t, c, "2")
	queuelab.Receive(t, l, "2")
	cancel()
	if err := queuelab.WaitFor(t, served); err != nil {
		t.Error(err)
	}

	g, err = nfqueue.OpenGroup(nfqueue.Config{Queue: 1, NetNS: h.FD()}, 2)
	labtest.Must(t, err)
	defer g.Close()
	s := queuelab.StartServing(g.Queues()[0], queuelab.Always(nfqueue.Accept))
	queuelab.Send(t, c, "3")
	queuelab.Receive(t, l, "3")
	wantOpError(t, g.Serve(t.Context(), queuelab.Always(nfqueue.Drop)), 1, nfqueue.ErrServing, "serve")
	queuelab.Send(t, c, "4")
	queuelab.Receive(t, l, "4")
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}

// misdeeds are the ways in which a handler does not return, and the PanicError of each.
var misdeeds = []struct {
	name  string
	do    func()
	value any
}{
	{"panic", func() { panic("on purpose") }, "on purpose"},
	{"Goexit", runtime.Goexit, nil},
}

// TestRunEndsWithHandler: packets that wait when a handler panics, or ends its goroutine,
// are not lost.
func TestRunEndsWithHandler(t *testing.T) {
	for _, c := range misdeeds {
		t.Run(c.name, func(t *testing.T) {
			lab := queuelab.NewVerdictLab(t, netlab.IP, queuelab.Localhost)
			queueUDPAll(t, lab.Queueing, netlab.Queue{})
			called, sent, ended := make(chan bool), make(chan bool), make(chan error, 1)
			go func() {
				defer close(ended)
				ended <- nfqueue.Run(t.Context(), nfqueue.Config{NetNS: lab.FD(), Fallback: nfqueue.Accept},
					nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
						called <- true
						<-sent
						c.do()
						return nfqueue.Drop
					}))
			}()
			for door := queuelab.DialUDP(t, lab.Host, netip.AddrPortFrom(queuelab.Localhost,
				queuelab.Port+1)); ; {
				_, _ = door.Write([]byte("knock")) // lost until the queue is open, and refused afterwards
				select {
				case <-called:
				case <-time.After(time.Millisecond):
					continue
				}
				break
			}
			for i := range 5 {
				lab.In(fmt.Sprint(i))
			}
			close(sent)
			err, returned := queuelab.WaitFor(t, ended), c.value != nil
			var p *nfqueue.PanicError
			if errors.As(err, &p) != returned || returned && p.Value != c.value {
				t.Errorf("Run: %v", err)
			}
			lab.Out(t, "0", "1", "2", "3", "4")
		})
	}
}
