// SPDX-License-Identifier: GPL-2.0-or-later

package fakekernel

import (
	"errors"
	"testing"

	"github.com/chifflier/nfqueue-go/internal/kernel"
	"github.com/chifflier/nfqueue-go/internal/transport"
)

func TestFailSend(t *testing.T) {
	l := newLab(t)
	l.bind(0)
	f := l.send(ip4(1))[0]
	first, second := errors.New("first"), errors.New("second")
	l.c.FailSend(first)
	l.c.FailSend(second)
	for _, want := range []error{first, second} {
		if err := l.c.Send([][]byte{verdictFor(1, 1)}); err != want {
			t.Errorf("%v, want %v", err, want)
		}
	}
	l.wantQueued(f, 0, 1)
	l.want([]int32{0}, verdictFor(1, 1))
}

func TestFailRecv(t *testing.T) {
	l := newLab(t)
	l.c.Deliver([]byte("x"))
	want := errors.New("mine")
	l.c.FailRecv(want)
	slab := transport.NewSlab(1, 10)
	if n, err := l.c.Recv(slab); n != 0 || err != want {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := l.c.Recv(slab); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

func TestRefuseVerdict(t *testing.T) {
	l := newLab(t)
	l.bind(0)
	f := l.send(ip4(1))[0]
	l.c.RefuseVerdict(kernel.EPERM)
	l.c.RefuseVerdict(kernel.EINVAL)
	l.want([]int32{kernel.EPERM}, verdictFor(1, 1), request(msgConfig, 0)) // all that came together
	l.want([]int32{0, kernel.EINVAL}, request(msgConfig, 0), verdictFor(1, 1))
	l.wantQueued(f, 0, 1)
	l.want([]int32{0}, verdictFor(1, 1))
}

func TestLoseReply(t *testing.T) {
	l := newLab(t)
	l.bind(0)
	f := l.send(ip4(1))[0]
	l.c.LoseReply()
	l.want([]int32{kernel.ENOENT}, verdictFor(1, 1), verdictFor(1, 1))
	l.wantOutcome(f, true, Decided, Hop{0, 1, 1, false})
}

func TestOverrun(t *testing.T) {
	l := newLab(t)
	l.bind(0)
	l.c.Overrun(1)
	l.c.Overrun(1)
	f := l.send(ip4(1), ip4(1), ip4(1))
	l.wantOutcome(f[0], false, BufferFull)
	l.wantOutcome(f[1], false, BufferFull)
	l.wantQueued(f[2], 0, 3)
	l.wantTable("    0   4711     1 2 65531     0     2        3  1\n")
}

func TestTruncate(t *testing.T) {
	l := newLab(t)
	l.bind(0)
	l.c.Truncate(30)
	l.c.Truncate(1000) // more than there is
	l.send(ip4(1), ip4(1), ip4(1))
	slab := transport.NewSlab(5, 100)
	if n, err := l.c.Recv(slab); n != 3 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	for i, want := range []transport.Datagram{{Len: 30, Truncated: true}, {Len: 57}, {Len: 57}} {
		if got := *slab.Datagram(i); got != want {
			t.Errorf("datagram %d: %+v, want %+v", i, got, want)
		}
	}
}
