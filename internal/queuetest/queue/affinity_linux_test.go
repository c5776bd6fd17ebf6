// SPDX-License-Identifier: GPL-2.0-or-later

package queue_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"testing"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
	"golang.org/x/sys/unix"
)

// affinity returns the processors that the calling thread may use.
func affinity(t testing.TB) unix.CPUSet {
	t.Helper()
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		t.Error(err)
	}
	return set
}

func processors(set unix.CPUSet) (cpus []int) {
	for cpu := range 1024 {
		if set.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	return cpus
}

// TestServeOn: the handler runs on the processor, and the thread is free afterwards.
func TestServeOn(t *testing.T) {
	lab := queuelab.NewVerdictLab(t, netlab.IP, queuelab.Localhost)
	queuelab.QueueUDP(t, lab.Queueing, netlab.Queue{})
	q := queuelab.Open(t, lab.Host, nfqueue.Config{})
	cpus := processors(affinity(t))
	cpu := cpus[len(cpus)-1]
	served := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		before := affinity(t)
		for _, cpu := range []int{-1, 1023, 1 << 20} { // that there are so many is unlikely
			if err := q.ServeOn(context.Background(), cpu, nil); !errors.Is(err, unix.EINVAL) || affinity(t) != before {
				t.Errorf("on processor %d: %v", cpu, err)
			}
		}
		err := q.ServeOn(context.Background(), cpu, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
			if set := affinity(t); set.Count() != 1 || !set.IsSet(cpu) {
				t.Errorf("the handler may run on %v, want %d", processors(set), cpu)
			}
			return nfqueue.Accept
		}))
		if affinity(t) != before {
			t.Error("the thread is still bound to a processor")
		}
		served <- err
	}()
	for i := range 10 {
		lab.In(fmt.Sprint(i))
		lab.Out(t, fmt.Sprint(i))
	}
	queuelab.Stop(t, q)
	if err := queuelab.WaitFor(t, served); err != nil {
		t.Error(err)
	}
}

// TestServeFanout sends from each processor, and looks where its packets are handled.
func TestServeFanout(t *testing.T) {
	const queues = 2
	h := labtest.Host(t)
	queuelab.QueueUDP(t, labtest.Chain(t, h, netlab.IP, netlab.Output, 0), netlab.Queue{Num: 4, Total: queues, Fanout: true})
	g, err := nfqueue.OpenGroup(4, queues, nfqueue.Config{NetNS: h.FD()})
	labtest.Must(t, err)
	defer g.Close()
	type seen struct {
		queue uint16
		cpus  unix.CPUSet
	}
	handled := make(chan seen, 1)
	served := make(chan error, 1)
	go func() {
		served <- g.ServeFanout(t.Context(), func(queue uint16) nfqueue.Handler {
			return nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
				handled <- seen{queue, affinity(t)}
				return nfqueue.Accept
			})
		})
	}()
	at := netip.AddrPortFrom(queuelab.Localhost, queuelab.Port)
	l, c := queuelab.ListenUDP(t, h, at), queuelab.DialUDP(t, h, at)
	for _, cpu := range processors(affinity(t)) {
		sent := make(chan error, 1)
		go func() { // the thread ends with the goroutine
			runtime.LockOSThread()
			var set unix.CPUSet
			set.Set(cpu)
			err := unix.SchedSetaffinity(0, &set)
			if err == nil {
				_, err = c.Write([]byte("x"))
			}
			sent <- err
		}()
		labtest.Must(t, queuelab.WaitFor(t, sent))
		got := queuelab.WaitFor(t, handled)
		queuelab.Receive(t, l, "x")
		if want := uint16(4 + cpu%queues); got.queue != want {
			t.Errorf("a packet of processor %d came to queue %d, want %d", cpu, got.queue, want)
		}
		if !got.cpus.IsSet(cpu) {
			t.Errorf("packets of processor %d are handled on %v", cpu, processors(got.cpus))
		}
		for _, other := range processors(got.cpus) {
			if other%queues != cpu%queues {
				t.Errorf("queue %d is served on processor %d, the packets of which do not come to it", got.queue, other)
			}
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), queuelab.Patience)
	defer cancel()
	labtest.Must(t, g.Shutdown(ctx))
	if err := queuelab.WaitFor(t, served); err != nil {
		t.Error(err)
	}
}
