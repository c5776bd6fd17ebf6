// SPDX-License-Identifier: GPL-2.0-or-later

package fault_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
)

// sendFrom sends n packets of a flow, told by its source port, to queue 0.
func (k *faulty) sendFrom(port uint16, n int) (flights []*nfqueuetest.Flight) {
	from := netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), port)
	packet := nfqueuetest.UDP(from, netip.MustParseAddrPort("192.0.2.2:9"), []byte("body"))
	for range n {
		flights = append(flights, k.Send(0, nfqueuetest.Spec{Payload: packet}))
	}
	return flights
}

// WorkerBacklog bounds what a flow with a slow handler keeps waiting, gives the rest the
// Fallback, and keeps it from delaying flows on other goroutines.
func TestFaultWorkerBacklog(t *testing.T) {
	const bound, packets = 10, 1000
	for _, fallback := range []nfqueue.Verdict{nfqueue.Drop, nfqueue.Accept} {
		t.Run(fallback.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newFaulty(t)
				q := k.open(nfqueue.Config{MaxLen: 2 * packets, Fallback: fallback, WorkerBacklog: bound})
				const slow = 1024 // its port
				block := make(chan struct{})
				ended := make(chan error, 1)
				go func() {
					ended <- q.ServeFlows(context.Background(), 2, func(int) nfqueue.Handler {
						return nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
							flow, _ := p.Flow()
							if flow.SrcPort == slow {
								<-block
							}
							return nfqueue.Stop
						})
					})
				}()
				slowOnes := k.sendFrom(slow, packets)
				synctest.Wait()
				waiting := 0
				for _, f := range slowOnes {
					select {
					case <-f.Done():
						wantVerdict(t, f, fallback)
					default:
						waiting++
					}
				}
				if waiting != bound {
					t.Errorf("%d packets wait, want %d", waiting, bound)
				}
				if got := q.Stats(); got.Fallback.Backlog != packets-bound {
					t.Errorf("%d packets were too many, want %d", got.Fallback.Backlog, packets-bound)
				}
				// Of ten other flows some are on the other goroutine, and decided meanwhile.
				decided := 0
				var others []*nfqueuetest.Flight
				for port := range uint16(10) {
					others = append(others, k.sendFrom(2000+port, 1)...)
				}
				synctest.Wait()
				for _, f := range others {
					select {
					case <-f.Done():
						if f.Result().Verdict == nfqueue.Stop {
							decided++
						}
					default:
					}
				}
				if decided == 0 {
					t.Error("no packet of another flow was handled while one is slow")
				}
				close(block)
				for _, f := range append(slowOnes, others...) {
					<-f.Done()
					f.Result()
				}
				// The bound counts what waits, not what ever came.
				for _, f := range k.sendFrom(slow, bound) {
					wantVerdict(t, f, nfqueue.Stop)
				}
				if err := q.Shutdown(context.Background()); err != nil {
					t.Error(err)
				}
				if err := <-ended; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A handler that takes longer than SlowHandler is told with its packet, the others are not.
func TestFaultSlowHandlerIsLogged(t *testing.T) {
	for name, serve := range queuelab.Servers {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newFaulty(t)
				var log queuelab.Log
				q := k.open(nfqueue.Config{SlowHandler: time.Second, Logger: log.Logger()})
				ended := make(chan error, 1)
				go func() {
					ended <- serve(context.Background(), q, func(p *nfqueue.Packet) nfqueue.Verdict {
						switch p.ID() {
						case 3:
							time.Sleep(3 * time.Second)
						default:
							time.Sleep(300 * time.Millisecond)
						}
						return nfqueue.Accept
					})
				}()
				for i := range 6 {
					for _, f := range k.sendFrom(1024+uint16(i), 1) {
						wantVerdict(t, f, nfqueue.Accept)
					}
				}
				lines := log.Take()
				if len(lines) != 1 || !strings.Contains(lines[0], "id=3 ") ||
					!strings.Contains(lines[0], fmt.Sprint(1026)) ||
					!strings.Contains(lines[0], "a handler took long") {
					t.Errorf("log %q", lines)
				}
				if err := q.Shutdown(context.Background()); err != nil {
					t.Error(err)
				}
				if err := <-ended; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A handler that ignores why a connection cannot be changed shows in Stats and, once, in the
// log.
func TestFaultConnChangesWithoutFlag(t *testing.T) {
	for _, c := range []struct {
		flags nfqueue.Flags
		want  uint64
	}{{0, 3}, {nfqueue.Conntrack, 0}} {
		k := newFaulty(t)
		var log queuelab.Log
		q := k.open(nfqueue.Config{Flags: c.flags, Logger: log.Logger()})
		flights := k.send(3)
		s := queuelab.StartServing(q, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
			_ = p.SetConnMark(1, 1) // untracked: no packet has an entry
			return nfqueue.Accept
		}))
		wantVerdicts(t, flights, nfqueue.Accept, nfqueue.Accept, nfqueue.Accept)
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
		lines := log.Take()
		if got := q.Stats().WithoutConntrack; got != c.want || len(lines) != int(min(c.want, 1)) {
			t.Errorf("flags %v: counted %d, want %d; log %q", c.flags, got, c.want, lines)
		}
	}
}
