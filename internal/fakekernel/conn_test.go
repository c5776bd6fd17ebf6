// SPDX-License-Identifier: GPL-2.0-or-later

package fakekernel

import (
	"errors"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chifflier/nfqueue-go/internal/kernel"
	"github.com/chifflier/nfqueue-go/internal/transport"
)

// recv is a waiting Recv in a bubble.
func recv(c *Conn, slots int) (result func() (n int, err error), slab *transport.Slab) {
	slab = transport.NewSlab(slots, 100)
	type r struct {
		n   int
		err error
	}
	done := make(chan r, 1)
	go func() {
		n, err := c.Recv(slab)
		done <- r{n, err}
	}()
	synctest.Wait()
	return func() (int, error) { r := <-done; return r.n, r.err }, slab
}

func TestRecvWaits(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(l *lab)
		n    int
		want error
	}{
		"packet": {func(l *lab) { l.send(ip4(1)) }, 1, nil},
		"close":  {func(l *lab) { l.c.Close() }, 0, net.ErrClosed},
		"deadline now": {func(l *lab) { l.c.SetReadDeadline(time.Unix(1, 0)) }, 0,
			os.ErrDeadlineExceeded},
		"deadline to come": {func(l *lab) { l.c.SetReadDeadline(time.Now().Add(time.Hour)) }, 0,
			os.ErrDeadlineExceeded},
		"failure":           {func(l *lab) { l.c.FailRecv(os.ErrInvalid) }, 0, os.ErrInvalid},
		"something unheard": {func(l *lab) { l.c.Deliver([]byte("of")) }, 1, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t)
				l.bind(0)
				result, _ := recv(l.c, 1)
				c.end(l)
				if n, err := result(); n != c.n || !errors.Is(err, c.want) {
					t.Errorf("%d, %v; want %d, %v", n, err, c.n, c.want)
				}
			})
		})
	}
}

func TestDeadlineMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		began := time.Now()
		l.c.SetReadDeadline(began.Add(time.Second))
		result, _ := recv(l.c, 1)
		l.c.SetReadDeadline(began.Add(3 * time.Second))
		_, err := result()
		wantDeadline(t, err)
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("took %v", took)
		}
		// The deadline stays until it is changed, also if there are datagrams to receive.
		l.c.Deliver([]byte("x"))
		_, err = l.c.Recv(transport.NewSlab(1, 10))
		wantDeadline(t, err)
		l.c.SetReadDeadline(time.Time{})
		if n, err := l.c.Recv(transport.NewSlab(1, 10)); n != 1 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	})
}

func TestRecvFillsSlots(t *testing.T) {
	l := newLab(t)
	for _, s := range []string{"one", "two is longer", "three"} {
		l.c.Deliver([]byte(s))
	}
	slab := transport.NewSlab(2, 6)
	n, err := l.c.Recv(slab)
	if n != 2 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	if d := *slab.Datagram(0); d != (transport.Datagram{Len: 3}) || string(slab.Slot(0)[:3]) != "one" {
		t.Errorf("%+v %q", d, slab.Slot(0))
	}
	if d := *slab.Datagram(1); d != (transport.Datagram{Len: 6, Truncated: true}) ||
		string(slab.Slot(1)) != "two is" {
		t.Errorf("%+v %q", d, slab.Slot(1))
	}
	if n, err := l.c.Recv(slab); n != 1 || err != nil || slab.Datagram(0).Truncated {
		t.Errorf("%d, %v", n, err)
	}
}

func TestClosed(t *testing.T) {
	l := newLab(t)
	if l.c.Closed() {
		t.Error("closed from the start")
	}
	if err := l.c.Close(); err != nil || !l.c.Closed() {
		t.Error(err)
	}
	_, recvErr := l.c.Recv(transport.NewSlab(1, 10))
	_, sizeErr := l.c.SetReadBuffer(1)
	_, _, usedErr := l.c.ReadBuffer()
	_, linkErr := l.c.Link(1)
	_, tableErr := l.c.ProcTable()
	for i, err := range []error{recvErr, sizeErr, usedErr, linkErr, tableErr,
		l.c.Send([][]byte{{1}}), l.c.SetReadDeadline(soon()), l.c.Close()} {
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("%d: %v", i, err)
		}
	}
}

func TestFile(t *testing.T) {
	if f, err := newLab(t).c.File(); f != nil || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("%v, %v", f, err)
	}
}

func TestMaxSend(t *testing.T) {
	l := newLab(t)
	l.k.SetMaxSend(100)
	l.c = l.k.Dial()
	if l.c.MaxSend() != 100 {
		t.Error(l.c.MaxSend())
	}
	if err := l.c.Send([][]byte{make([]byte, 60), make([]byte, 40)}); err != nil {
		t.Error(err)
	}
	if err := l.c.Send([][]byte{make([]byte, 60), make([]byte, 41)}); err == nil ||
		err.Error() != kernel.Error(kernel.EMSGSIZE).Error() {
		t.Error(err)
	}
}

func TestReadBufferGrant(t *testing.T) {
	l := newLab(t)
	l.k.SetReadBufferLimit(1000)
	for ask, want := range map[int]int{999: 999, 1000: 1000, 1 << 30: 1000} {
		if got, err := l.c.SetReadBuffer(ask); got != want || err != nil {
			t.Errorf("asked for %d, got %d, %v", ask, got, err)
		}
	}
	if size, _, _ := l.k.Dial().ReadBuffer(); size != 1000 {
		t.Errorf("%d bytes by default", size)
	}
}

func TestLinks(t *testing.T) {
	l := newLab(t)
	if i := l.k.LinkIndex("lo"); i != 1 {
		t.Errorf("lo is %d", i)
	}
	l.k.SetLink(7, "eth0")
	if i := l.k.LinkIndex("eth0"); i != 7 {
		t.Errorf("eth0 is %d", i)
	}
	if i := l.k.LinkIndex("eth1"); i != 8 || l.k.LinkIndex("eth1") != 8 {
		t.Errorf("eth1 is %d", i)
	}
	if link, err := l.c.Link(8); link.Name != "eth1" || err != nil {
		t.Errorf("%+v, %v", link, err)
	}
	l.k.SetLink(7, "")
	if link, err := l.c.Link(7); link.Name != "" || !errors.Is(err, kernel.Error(kernel.ENODEV)) {
		t.Errorf("%+v, %v", link, err)
	}
}

func TestPrivilege(t *testing.T) {
	l := newLab(t)
	l.bind(0)
	f := l.send(ip4(1), ip4(1))
	l.k.SetPrivileged(false)
	l.want([]int32{kernel.EPERM}, verdictFor(1, 1), verdictFor(1, 2)) // one reply for all
	l.wantQueued(f[0], 0, 1)
	l.k.SetPrivileged(true)
	l.want([]int32{0, 0}, verdictFor(1, 1), verdictFor(1, 2))
}

func TestPortIDs(t *testing.T) {
	k := New()
	a, b, c := k.Dial().PortID(), k.Dial().PortID(), k.Dial().PortID()
	if a == 0 || a > 1<<22 || b < 1<<31 || c < 1<<31 || b == c {
		t.Errorf("port ids %d %d %d", a, b, c)
	}
}
