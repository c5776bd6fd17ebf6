// SPDX-License-Identifier: GPL-2.0-or-later

package queue_test

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"testing"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
)

// TestQueueFull fills a queue that nobody serves yet.
func TestQueueFull(t *testing.T) {
	for _, c := range []struct {
		name  string
		flags nfqueue.Flags
		// The datagrams that pass at once, and those that pass when the queue is served.
		at, later []string
		dropped   uint32
	}{
		{"drop", 0, nil, []string{"0", "1", "2"}, 3},
		{"fail-open", nfqueue.FailOpen, []string{"3", "4", "5"}, []string{"0", "1", "2"}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			lab := queuelab.NewVerdictLab(t, netlab.IP, queuelab.Localhost)
			queuelab.QueueUDP(t, lab.Queueing, netlab.Queue{Num: 1})
			q := queuelab.Open(t, lab.Host, nfqueue.Config{Queue: 1, MaxLen: 3, Flags: c.flags})
			for i := range 6 {
				lab.In(fmt.Sprint(i))
			}
			lab.Out(t, c.at...)
			if k := q.Stats().Kernel; k != nil && (k.Backlog != 3 || k.QueueDropped != c.dropped ||
				k.UserDropped != 0) {
				t.Errorf("kernel statistics %+v; want a backlog of 3, %d dropped", *k, c.dropped)
			}
			queuelab.ServeOpen(t, q, func(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Accept })
			lab.Out(t, c.later...)
			lab.In("last")
			lab.Out(t, "last")
			if lost := q.Stats().Lost; lost != 0 {
				t.Errorf("%d ids left out; a full queue uses none", lost)
			}
		})
	}
}

// TestReceiveBufferFull overruns the socket; the ids show how many packets were lost.
func TestReceiveBufferFull(t *testing.T) {
	lab := queuelab.NewVerdictLab(t, netlab.IP, queuelab.Localhost)
	queuelab.QueueUDP(t, lab.Queueing, netlab.Queue{Num: 1})
	q := queuelab.Open(t, lab.Host, nfqueue.Config{Queue: 1, ReadBuffer: 8192})
	const sent = 30
	for i := range sent {
		lab.In(fmt.Sprint(i))
	}
	if k := q.Stats().Kernel; k != nil && (k.UserDropped == 0 || k.Backlog+k.UserDropped != sent) {
		t.Errorf("kernel statistics %+v", *k)
	}
	got := make(chan uint32, sent+1)
	queuelab.ServeOpen(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		got <- p.ID()
		return nfqueue.Accept
	})
	for q.Stats().ReadBufferUsed > 0 {
		runtime.Gosched() // nothing else tells that there is room again
	}
	lab.In("last")
	fit := 0
	for ; ; fit++ {
		id := queuelab.WaitFor(t, got)
		if id == sent+1 { // those that did not fit have used their ids up
			break
		}
		if id != uint32(fit+1) {
			t.Fatalf("id %d behind %d", id, fit)
		}
		lab.Out(t, fmt.Sprint(fit))
	}
	lab.Out(t, "last")
	if s := q.Stats(); s.Lost != sent-uint64(fit) || s.Received != uint64(fit)+1 {
		t.Errorf("%d fitted; statistics %+v", fit, s)
	}
}

// TestUnboundQueue: without bypass packets are dropped while nobody has bound the
// queue, with it they pass.
func TestUnboundQueue(t *testing.T) {
	for _, bypass := range []bool{false, true} {
		t.Run(fmt.Sprintf("bypass %v", bypass), func(t *testing.T) {
			lab := queuelab.NewVerdictLab(t, netlab.IP, queuelab.Localhost)
			queuelab.QueueUDP(t, lab.Queueing, netlab.Queue{Num: 1, Bypass: bypass})
			lab.In("unbound")
			if bypass {
				lab.Out(t, "unbound")
			}
			q := queuelab.Serve(t, lab.Host, nfqueue.Config{Queue: 1},
				func(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Accept })
			lab.In("bound")
			lab.Out(t, "bound")
			if s := q.Stats(); s.Received != 1 {
				t.Errorf("received %d packets, want 1", s.Received)
			}
		})
	}
}

// TestManyQueues serves queues side by side in one namespace.
func TestManyQueues(t *testing.T) {
	h := labtest.Host(t)
	chain := labtest.Chain(t, h, netlab.IP, netlab.Output, 0)
	const queues = 8
	for i := range uint16(queues) {
		labtest.Rule(t, chain, netlab.L4Proto(queuelab.UDP), netlab.DstPort(queuelab.Port+i),
			netlab.ToQueue(netlab.Queue{Num: i}))
		queuelab.Serve(t, h, nfqueue.Config{Queue: i}, func(p *nfqueue.Packet) nfqueue.Verdict {
			if want := fmt.Sprint("for ", i); p.Queue() != i || queuelab.Text(p) != want {
				t.Errorf("queue %d got %q in queue %d", i, queuelab.Text(p), p.Queue())
			}
			return nfqueue.Accept
		})
	}
	for i := range uint16(queues) {
		at := netip.AddrPortFrom(queuelab.Localhost, queuelab.Port+i)
		l := queuelab.ListenUDP(t, h, at)
		queuelab.Send(t, queuelab.DialUDP(t, h, at), fmt.Sprint("for ", i))
		queuelab.Receive(t, l, fmt.Sprint("for ", i))
	}
}

// TestShutdownLosesNothing ends a queue in which packets wait. The queued packets are handled;
// those that arrive during the drain get the Fallback.
func TestShutdownLosesNothing(t *testing.T) {
	for _, fallback := range []nfqueue.Verdict{nfqueue.Accept, nfqueue.Drop} {
		t.Run(fallback.String(), func(t *testing.T) {
			lab := queuelab.NewVerdictLab(t, netlab.IP, queuelab.Localhost)
			queuelab.QueueUDP(t, lab.Queueing, netlab.Queue{Num: 1, Bypass: true})
			q := queuelab.Open(t, lab.Host, nfqueue.Config{Queue: 1, Fallback: fallback})
			var queued []string
			for i := range 200 {
				queued = append(queued, fmt.Sprint(i))
				lab.In(queued[i])
			}
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			inHandler, proceed := make(chan bool), make(chan bool)
			served := make(chan error, 1)
			go func() {
				served <- q.Serve(ctx, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
					if p.ID() == 1 {
						inHandler <- true
						<-proceed
					}
					return nfqueue.Accept
				}))
			}()
			<-inHandler
			lab.In("queued behind")
			cancel()
			close(proceed)
			if err := queuelab.WaitFor(t, served); err != nil {
				t.Fatal(err)
			}
			lab.Out(t, queued...)
			lab.Out(t, "queued behind")
			lab.In("bypassed")
			lab.Out(t, "bypassed")
			if s := q.Stats(); s.Received != 201 || s.Accepted != 201 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// TestShutdownWithoutServe: all waiting packets get the Fallback.
func TestShutdownWithoutServe(t *testing.T) {
	for _, fallback := range []nfqueue.Verdict{nfqueue.Accept, nfqueue.Drop} {
		t.Run(fallback.String(), func(t *testing.T) {
			lab := queuelab.NewVerdictLab(t, netlab.IP, queuelab.Localhost)
			queuelab.QueueUDP(t, lab.Queueing, netlab.Queue{Num: 1, Bypass: true})
			q := queuelab.Open(t, lab.Host, nfqueue.Config{Queue: 1, Fallback: fallback})
			lab.In("waiting")
			queuelab.Stop(t, q)
			lab.In("afterwards")
			if fallback == nfqueue.Accept {
				lab.Out(t, "waiting")
			}
			lab.Out(t, "afterwards")
		})
	}
}
