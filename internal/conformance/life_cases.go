// SPDX-License-Identifier: GPL-2.0-or-later

package conformance

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/chifflier/nfqueue-go"
)

func testQueueInUse(l lab) {
	q := l.open(nfqueue.Config{})
	second, err := l.Open(nfqueue.Config{})
	if !errors.Is(err, nfqueue.ErrQueueInUse) {
		l.Errorf("Open: %v", err)
	}
	if second != nil {
		second.Close()
	}
	l.send("still here")
	l.drain(q, always(nfqueue.Accept))
	l.wantReceived("still here")
	l.drain(l.open(nfqueue.Config{}), always(nfqueue.Accept)) // free again
}

func testNotBound(l lab) {
	l.open(nfqueue.Config{Queue: 1})
	l.send("lost")
	l.wantReceived()
}

func testNotBoundBypass(l lab) {
	l.open(nfqueue.Config{Queue: 1})
	l.send("passes")
	l.wantReceived("passes")
}

// Closing drops the packets that wait, also with fail-open and bypass.
func testClosePending(l lab) {
	q := l.open(nfqueue.Config{Flags: nfqueue.FailOpen})
	l.send("a", "b")
	q.Close()
	l.send("c")
	l.wantReceived("c")
}

func testShutdown(fallback nfqueue.Verdict) func(lab) {
	return func(l lab) {
		q := l.open(nfqueue.Config{Fallback: fallback})
		l.send(names(100)...)
		if err := q.Shutdown(context.Background()); err != nil {
			l.Error(err)
		}
		l.send("after")
		if fallback == nfqueue.Accept {
			l.wantReceived(names(100)...)
		} else {
			l.wantReceived()
		}
		if got := q.Stats(); got.Fallback.Shutdown != 100 {
			l.Errorf("%+v", got)
		}
	}
}

// A running Serve decides the packets that wait, Shutdown waits for held packets, and new packets
// pass without being queued.
func testShutdownServes(l lab) {
	q := l.open(nfqueue.Config{Fallback: nfqueue.Accept})
	l.send(names(3)...)
	held := make(chan *nfqueue.Held, 1)
	s := l.serve(q, func(p *nfqueue.Packet) nfqueue.Verdict {
		switch p.ID() {
		case 1:
			held <- p.Defer()
			return nfqueue.Deferred
		case 3:
			return nfqueue.Accept
		}
		return nfqueue.Drop
	})
	l.wantReceived(names(3)[2])
	shut := make(chan error)
	go func() { shut <- q.Shutdown(context.Background()) }()
	for i := 0; l.Passed() == 1; i++ {
		l.send(fmt.Sprint("new ", i))
		runtime.Gosched()
	}
	if err := (<-held).Resolve(nfqueue.Drop); err != nil {
		l.Error(err)
	}
	if err := <-shut; err != nil {
		l.Error(err)
	}
	if err := <-s.result; err != nil {
		l.Error(err)
	}
	if n := l.Passed(); n != 2 {
		l.Errorf("%d have passed", n)
	}
}

func testCloseUnblocksServe(l lab) {
	q := l.open(nfqueue.Config{})
	s := l.serve(q, always(nfqueue.Accept))
	l.send("before")
	l.wantToCome("before")
	if err := q.Close(); err != nil {
		l.Error(err)
	}
	if err := <-s.result; !errors.Is(err, nfqueue.ErrClosed) {
		l.Errorf("Serve: %v", err)
	}
}

func testPanic(l lab) {
	q := l.open(nfqueue.Config{Fallback: nfqueue.Accept})
	l.send(names(4)...)
	err := q.Serve(context.Background(), nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		if p.ID() == 2 {
			panic("in the handler")
		}
		return nfqueue.Drop
	}))
	var p *nfqueue.PanicError
	if !errors.As(err, &p) {
		l.Errorf("Serve: %v", err)
	}
	l.wantReceived(names(2)[1])
	l.send("later")
	l.drain(q, by(map[string]nfqueue.Verdict{"later": nfqueue.Accept}))
	l.wantToCome("later")
	if n := l.Passed(); n != 2 {
		l.Errorf("%d have passed", n)
	}
}

func testLiveChanges(l lab) {
	q := l.open(nfqueue.Config{})
	l.send("queued", "queued")
	must := func(err error) {
		l.Helper()
		if err != nil {
			l.Error(err)
		}
	}
	must(q.SetMaxLen(2))
	l.send("too many")
	must(q.SetFlags(nfqueue.FailOpen, nfqueue.FailOpen))
	l.send("passes")
	l.wantReceived("passes")
	must(q.SetFlags(nfqueue.FailOpen, 0))
	l.send("too many")
	must(q.SetMaxLen(10))
	must(q.SetCopy(nfqueue.CopyMeta, 0))
	l.send("meta")
	var lengths []int
	l.drain(q, func(p *nfqueue.Packet) nfqueue.Verdict {
		lengths = append(lengths, len(p.Payload()))
		return nfqueue.Accept
	})
	if !slices.Equal(lengths, []int{34, 34, 0}) {
		l.Errorf("lengths %v", lengths)
	}
	l.wantToCome("queued", "queued", "meta")
	if n := l.Passed(); n != 4 {
		l.Errorf("%d have passed", n)
	}
	small := l.open(nfqueue.Config{CopyMode: nfqueue.CopyMeta})
	if err := small.SetCopy(nfqueue.CopyPacket, 0); err == nil ||
		!strings.Contains(err.Error(), "without room for payloads") {
		l.Errorf("SetCopy of a queue that was opened without payloads: %v", err)
	}
}

// The table in /proc, if the process may read it.
func testAccount(l lab) {
	q := l.open(nfqueue.Config{Queue: 7, CopyRange: 100, MaxLen: 2, ReadBuffer: 1 << 16})
	l.send(names(3)...)
	k := q.Stats().Kernel
	if k == nil {
		l.Skip("the kernel's table of queues may not be read")
	}
	got := *k
	if got.PortID == 0 {
		l.Error("no port id")
	}
	got.PortID = 0
	if want := (nfqueue.KernelQueue{Queue: 7, Backlog: 2, CopyMode: nfqueue.CopyPacket, CopyRange: 100,
		QueueDropped: 1, LastID: 2}); got != want {
		l.Errorf("%+v, want %+v", got, want)
	}
	l.drain(q, always(nfqueue.Accept))
	l.wantReceived(names(2)...)
	q = l.open(nfqueue.Config{Queue: 7, CopyMode: nfqueue.CopyMeta})
	got = *q.Stats().Kernel
	got.PortID = 0
	if want := (nfqueue.KernelQueue{Queue: 7, CopyMode: nfqueue.CopyMeta}); got != want {
		l.Errorf("%+v, want %+v", got, want)
	}
}
