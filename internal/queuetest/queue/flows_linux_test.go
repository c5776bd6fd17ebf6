// SPDX-License-Identifier: GPL-2.0-or-later

package queue_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
)

// startFlows runs ServeFlows on another goroutine.
func startFlows(ctx context.Context, q *nfqueue.Queue, n int,
	newHandler func(worker int) nfqueue.Handler) chan error {
	served := make(chan error, 1)
	go func() { served <- q.ServeFlows(ctx, n, newHandler) }()
	return served
}

// TestFlowsKeepTheirOrder sends on ten thousand flows at once, or on a thousand. Half of the
// packets are altered, the last of every fourth flow is deferred and resolved by another goroutine,
// and handlers are slow with some, so that workers overtake each other.
func TestFlowsKeepTheirOrder(t *testing.T) {
	labtest.NeedReplace(t)
	const workers = 4
	each := 1250
	if testing.Short() {
		each = 125
	}
	load := newFlowLoad(t, 8, each, 6)
	queueUDPAll(t, load.queueing, netlab.Queue{})
	q := queuelab.Open(t, load.Host, nfqueue.Config{NetNS: load.FD()})
	owner := make([]atomic.Int32, load.total())
	held := make(chan *nfqueue.Held, 1<<16)
	var resolver sync.WaitGroup
	resolver.Go(func() {
		for h := range held {
			if err := h.Resolve(nfqueue.Accept); err != nil {
				t.Error(err)
			}
		}
	})
	served := startFlows(t.Context(), q, workers, func(worker int) nfqueue.Handler {
		next := make([]int, load.total()) // the worker's own
		dice := rand.New(rand.NewPCG(1, uint64(worker)))
		return nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
			flow, seq := flowAndSeq(p)
			if w := owner[flow].Swap(int32(worker) + 1); w != 0 && w != int32(worker)+1 {
				t.Errorf("flow %d comes to worker %d and to %d", flow, w-1, worker)
			}
			if next[flow] != seq {
				t.Errorf("worker %d has number %d of flow %d after %d", worker, seq, flow, next[flow]-1)
			}
			next[flow] = seq + 1
			if dice.IntN(8) == 0 {
				busy(time.Duration(dice.IntN(20)) * time.Microsecond)
			}
			if flow%2 == 1 {
				b := p.Payload()
				for i := queuelab.UDPData(p) + 8; i < len(b); i++ {
					b[i] = byte(flow + seq)
				}
				if err := p.SetPayload(append(b, byte(flow))); err != nil {
					t.Error(err)
				}
			}
			if flow%8 < 2 && seq == load.seqs-1 { // nothing of the flow comes after it
				held <- p.Defer()
				return nfqueue.Deferred
			}
			return nfqueue.Accept
		})
	})
	next := make([]int, load.total())
	load.run(t, func(flow, seq int, data []byte) {
		if next[flow] != seq {
			t.Errorf("number %d of flow %d arrives after %d", seq, flow, next[flow]-1)
		}
		next[flow] = seq + 1
		want, size := byte(0), flowData-8
		if flow%2 == 1 {
			want, size = byte(flow+seq), flowData-8+1
		}
		if len(data) != size {
			t.Fatalf("%d bytes arrive, want %d", len(data), size)
		}
		for _, b := range data[:flowData-8] {
			if b != want {
				t.Errorf("number %d of flow %d arrives as %x, want %x", seq, flow, data, want)
				break
			}
		}
		if size > flowData-8 && data[size-1] != byte(flow) {
			t.Errorf("what was appended to flow %d arrives as %x", flow, data[size-1])
		}
	})
	queuelab.Stop(t, q)
	if err := queuelab.WaitFor(t, served); err != nil {
		t.Error(err)
	}
	close(held)
	resolver.Wait()
	flows := make(map[int32]int)
	for i := range owner {
		flows[owner[i].Load()]++
	}
	for w := range int32(workers) {
		if n := flows[w+1]; n < load.total()/workers/2 {
			t.Errorf("%d of %d flows came to worker %d", n, load.total(), w)
		}
	}
	total := uint64(load.total() * load.seqs)
	if s := q.Stats(); s.Received != total || s.Accepted != total || s.Lost != 0 ||
		s.Deferred != total/uint64(4*load.seqs) || s.Fallback != (nfqueue.FallbackStats{}) {
		t.Errorf("%+v", s)
	}
}

// queueUDPAll adds a rule that queues all UDP datagrams.
func queueUDPAll(t testing.TB, c *netlab.Chain, q netlab.Queue) *netlab.Rule {
	t.Helper()
	return labtest.Rule(t, c, netlab.L4Proto(queuelab.UDP), netlab.ToQueue(q))
}

// TestFlowsBothDirections: one worker gets requests, replies and the ICMP errors that quote them.
func TestFlowsBothDirections(t *testing.T) {
	for _, f := range queuelab.Families {
		t.Run(f.Name, func(t *testing.T) {
			h := labtest.Host(t)
			chain := labtest.Chain(t, h, f.Rules, netlab.Output, 0)
			for _, proto := range []uint8{queuelab.UDP, 1, 58} { // with ICMP and ICMPv6
				labtest.Rule(t, chain, netlab.L4Proto(proto), netlab.ToQueue(netlab.Queue{}))
			}
			q := queuelab.Open(t, h, nfqueue.Config{})
			type seen struct{ worker, packets, errors int }
			var mu sync.Mutex
			flows := make(map[nfqueue.Flow]*seen) // by that of the request
			served := startFlows(t.Context(), q, 3, queuelab.Alike(func(worker int,
				p *nfqueue.Packet) nfqueue.Verdict {
				flow, _ := p.Flow()
				quoted, isError := p.QuotedFlow()
				if isError {
					flow = quoted
				}
				if flow.DstPort != queuelab.Port && flow.DstPort != queuelab.Port+1 {
					flow = flow.Reverse()
				}
				mu.Lock()
				defer mu.Unlock()
				s := flows[flow]
				if s == nil {
					s = &seen{worker: worker}
					flows[flow] = s
				}
				if s.worker != worker {
					t.Errorf("%v came to worker %d and to %d", flow, s.worker, worker)
				}
				s.packets++
				if isError {
					s.errors++
				}
				return nfqueue.Accept
			}))
			server := queuelab.ListenUDP(t, h, netip.AddrPortFrom(f.Loopback, queuelab.Port))
			const clients = 40
			b := make([]byte, 100)
			for range clients {
				c := queuelab.DialUDP(t, h, netip.AddrPortFrom(f.Loopback, queuelab.Port))
				labtest.Must(t, c.SetReadDeadline(time.Now().Add(queuelab.Patience)))
				queuelab.Send(t, c, "request")
				_, from, err := server.ReadFromUDPAddrPort(b)
				labtest.Must(t, err)
				_, err = server.WriteToUDPAddrPort([]byte("reply"), from)
				labtest.Must(t, err)
				queuelab.Receive(t, c, "reply")

				c = queuelab.DialUDP(t, h, netip.AddrPortFrom(f.Loopback,
					queuelab.Port+1)) // nobody listens there
				labtest.Must(t, c.SetReadDeadline(time.Now().Add(queuelab.Patience)))
				queuelab.Send(t, c, "request")
				if _, err := c.Read(b); err == nil || errors.Is(err, context.DeadlineExceeded) {
					t.Fatalf("from a closed port: %v", err)
				}
			}
			queuelab.Stop(t, q)
			if err := queuelab.WaitFor(t, served); err != nil {
				t.Error(err)
			}
			var errs, used int
			workers := make(map[int]bool)
			for flow, s := range flows {
				if s.packets != 2 {
					t.Errorf("%v had %d packets", flow, s.packets)
				}
				errs += s.errors
				if !workers[s.worker] {
					workers[s.worker] = true
					used++
				}
			}
			if len(flows) != 2*clients || errs != clients || used != 3 {
				t.Errorf("%d flows, %d errors, on %d workers", len(flows), errs, used)
			}
		})
	}
}

// twoFlows are two sockets whose datagrams are handled by different workers. The first handler call
// of each shows which.
type twoFlows struct {
	a, b    *net.UDPConn
	blocked chan bool // worker of a has begun to block
	release chan bool // ends that
}

// newTwoFlows serves q with two workers. The handler blocks on datagrams that start with "block".
func newTwoFlows(t *testing.T, h *netlab.Host, q *nfqueue.Queue) (f twoFlows, served chan error) {
	t.Helper()
	f.blocked, f.release = make(chan bool, 1), make(chan bool)
	which := make(chan int, 1)
	served = startFlows(t.Context(), q, 2, queuelab.Alike(func(worker int,
		p *nfqueue.Packet) nfqueue.Verdict {
		switch queuelab.Text(p) {
		case "which":
			which <- worker
			return nfqueue.Drop
		case "block":
			f.blocked <- true
			<-f.release
		}
		return nfqueue.Accept
	}))
	found := make(map[int]*net.UDPConn)
	for len(found) < 2 {
		c := queuelab.DialUDP(t, h, netip.AddrPortFrom(queuelab.Localhost, queuelab.Port))
		queuelab.Send(t, c, "which")
		found[queuelab.WaitFor(t, which)] = c
	}
	f.a, f.b = found[0], found[1]
	return f, served
}

// TestFlowsBlockedWorker: packets of another worker pass a blocked one, as long as there is room
// for the packets that wait for it. Then the kernel keeps the rest, and nothing is lost.
func TestFlowsBlockedWorker(t *testing.T) {
	h := labtest.Host(t)
	queuelab.QueueUDP(t, labtest.Chain(t, h, netlab.IP, netlab.Output, 0), netlab.Queue{})
	l := queuelab.ListenUDP(t, h, netip.AddrPortFrom(queuelab.Localhost, queuelab.Port))
	const batch, spare = 8, 2 * 8
	q := queuelab.Open(t, h, nfqueue.Config{Batch: batch})
	f, served := newTwoFlows(t, h, q)
	before := q.Stats().Received

	queuelab.Send(t, f.a, "block")
	queuelab.WaitFor(t, f.blocked)
	var a []string
	for i := range 200 {
		text := fmt.Sprint("other ", i)
		queuelab.Send(t, f.b, text)
		queuelab.Receive(t, l, text)
		if i < spare-batch { // whatever the sizes of the batches, there is room
			a = append(a, fmt.Sprint("waiting ", i))
			queuelab.Send(t, f.a, a[i])
		}
	}

	for i := range 50 {
		a = append(a, fmt.Sprint("back-pressure ", i))
		queuelab.Send(t, f.a, a[len(a)-1])
	}
	queuelab.Send(t, f.b, "behind")
	passed := before + 200
	for q.Stats().Received-passed <= spare {
		time.Sleep(time.Millisecond) // nothing else tells of it
	}
	if s := q.Stats(); s.Received-passed > spare+batch || s.Kernel != nil &&
		s.Kernel.Backlog != 52+spare-batch {
		t.Errorf("%d packets are waiting or in the hands of a handler, room is for %d; kernel %+v",
			s.Received-passed, spare+batch, s.Kernel)
	}
	close(f.release)
	queuelab.Stop(t, q)
	if err := queuelab.WaitFor(t, served); err != nil {
		t.Error(err)
	}
	var arrivals []string
	behind := false
	b := make([]byte, 100)
	for range 1 + len(a) + 1 {
		n, err := l.Read(b)
		labtest.Must(t, err)
		if got := string(b[:n]); got == "behind" {
			behind = true
		} else {
			arrivals = append(arrivals, got)
		}
	}
	if want := append([]string{"block"}, a...); !behind || !slices.Equal(arrivals, want) {
		t.Errorf("%q arrived, want %q", arrivals, want)
	}
}

// TestFlowsPanic: the packet whose handler panics, or ends its goroutine, gets the Fallback.
// Nothing else is lost: others are decided, and the rest of the flow waits for the next Serve.
func TestFlowsPanic(t *testing.T) {
	for _, c := range misdeeds {
		t.Run(c.name, func(t *testing.T) {
			const flows, seqs, bad = 40, 5, 7
			load := newFlowLoad(t, 1, flows, seqs)
			queueUDPAll(t, load.queueing, netlab.Queue{})
			q := queuelab.Open(t, load.Host, nfqueue.Config{Fallback: nfqueue.Accept, Batch: 16})
			seen := make([][]int, flows) // each by one goroutine at a time
			handlers := queuelab.Alike(func(_ int, p *nfqueue.Packet) nfqueue.Verdict {
				flow, seq := flowAndSeq(p)
				seen[flow] = append(seen[flow], seq)
				if flow == bad && seq == 2 {
					c.do()
				}
				return nfqueue.Accept
			})
			result := make(chan error, 2)
			go func() {
				result <- q.ServeFlows(t.Context(), 3, handlers)
				result <- q.ServeFlows(t.Context(), 3, handlers)
			}()
			arrived := make([][]int, flows)
			load.run(t, func(flow, seq int, _ []byte) { arrived[flow] = append(arrived[flow], seq) })
			queuelab.Stop(t, q)
			var p *nfqueue.PanicError
			if err := queuelab.WaitFor(t, result); !errors.As(err, &p) || p.Value != c.value ||
				len(p.Stack) == 0 {
				t.Errorf("ServeFlows: %v", err)
			}
			if err := queuelab.WaitFor(t, result); err != nil {
				t.Errorf("ServeFlows again: %v", err)
			}
			sent := []int{0, 1, 2, 3, 4}
			for flow := range flows {
				switch {
				case !slices.Equal(seen[flow], sent):
					t.Errorf("the handler saw flow %d as %v; it arrived as %v", flow, seen[flow], arrived[flow])
				case !slices.Equal(arrived[flow], sent):
					// The kernel has a backlog for each processor that sends verdicts.
					t.Errorf("flow %d arrived as %v; the handler saw it in order, so the verdicts or the kernel changed that", flow, arrived[flow])
				}
			}
			if s := q.Stats(); s.Received != flows*seqs || s.Accepted != flows*seqs ||
				s.Fallback.Panic != 1 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// TestFlowsShutdownUnderLoad: every datagram arrives that is sent while the queue is
// shut down, and that the handlers have not dropped.
func TestFlowsShutdownUnderLoad(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(t *testing.T, q *nfqueue.Queue, cancel context.CancelFunc)
	}{
		{"Shutdown", func(t *testing.T, q *nfqueue.Queue, _ context.CancelFunc) { queuelab.Stop(t, q) }},
		{"context", func(_ *testing.T, _ *nfqueue.Queue, cancel context.CancelFunc) { cancel() }},
		{"out of time", func(t *testing.T, q *nfqueue.Queue, _ context.CancelFunc) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel() // the rest gets the Fallback
			labtest.Must(t, q.Shutdown(ctx))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			seqs := 50
			if testing.Short() {
				seqs = 10
			}
			load := newFlowLoad(t, 3, 100, seqs)
			all := int64(3 * 100 * seqs)
			queueUDPAll(t, load.queueing, netlab.Queue{Bypass: true})
			q := queuelab.Open(t, load.Host, nfqueue.Config{Fallback: nfqueue.Accept})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			served := startFlows(ctx, q, 3, queuelab.Alike(func(_ int, p *nfqueue.Packet) nfqueue.Verdict { return nfqueue.Accept }))
			var arrived atomic.Int64
			var ending sync.WaitGroup
			load.run(t, func(int, int, []byte) {
				if arrived.Add(1) == all/3 {
					ending.Go(func() { c.end(t, q, cancel) })
				}
			})
			ending.Wait()
			if err := queuelab.WaitFor(t, served); err != nil {
				t.Error(err)
			}
			if s := q.Stats(); s.Received != s.Accepted || s.Received < uint64(all/4) ||
				s.Received > uint64(all) {
				t.Errorf("%+v", s)
			}
		})
	}
}

// TestFlowsClose ends at once, also while a worker is blocked.
func TestFlowsClose(t *testing.T) {
	lab := queuelab.NewVerdictLab(t, netlab.IP, queuelab.Localhost)
	queuelab.QueueUDP(t, lab.Queueing, netlab.Queue{})
	q := queuelab.Open(t, lab.Host, nfqueue.Config{})
	f, served := newTwoFlows(t, lab.Host, q)
	queuelab.Send(t, f.a, "block", "block") // the handler must not be called for the second
	queuelab.WaitFor(t, f.blocked)
	labtest.Must(t, q.Close())
	close(f.release)
	wantOpError(t, queuelab.WaitFor(t, served), 0, nfqueue.ErrClosed, "serve")
	if len(f.blocked) != 0 {
		t.Error("a handler was called after Close")
	}
}

// TestFlowsRefuses invalid arguments.
func TestFlowsRefuses(t *testing.T) {
	q := queuelab.Open(t, labtest.Host(t), nfqueue.Config{})
	if err := q.ServeFlows(t.Context(), 0, nil); err == nil {
		t.Error("served with no goroutine")
	}
}
