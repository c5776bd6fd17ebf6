// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"golang.org/x/sys/unix"
)

// The calls of every program for the old package, in their order.
func TestLifeCycle(t *testing.T) {
	l := newLab(t, netlab.Queue{Num: 5, Bypass: true})
	eth, err := netlab.In(l.Client, func() (*net.Interface, error) { return net.InterfaceByName(netlab.Eth) })
	labtest.Must(t, err)
	seen := make(chan *Payload, 10)
	var q *Queue
	q = l.queue(t, func(p *Payload) int {
		verdict := NF_ACCEPT
		if strings.HasPrefix(udpText(p), "drop") {
			verdict = NF_DROP
		}
		must(t, p.SetVerdict(verdict))
		seen <- p
		if udpText(p) == "stop" {
			q.StopLoop()
		}
		return 0
	})
	must(t, q.Unbind(syscall.AF_INET))
	must(t, q.Bind(syscall.AF_INET))
	l.Send(t, "not bound")
	l.Arrive(t, "not bound")
	must(t, q.CreateQueue(5))
	must(t, q.SetMode(NFQNL_COPY_PACKET))
	must(t, q.SetQueueMaxLen(3))
	// The first three wait for Loop; there is no room for the fourth.
	l.Send(t, "one", "drop this", "three", "four")
	ended := start(q)
	l.Arrive(t, "one", "three")
	l.Send(t, "stop")
	l.Arrive(t, "stop")
	must(t, receive(t, ended))

	// Between two Loops packets wait.
	l.Send(t, "five")
	if len(seen) != 4 {
		t.Errorf("%d packets seen, want 4", len(seen))
	}
	ended = start(q)
	l.Arrive(t, "five")
	must(t, q.SetMode(NFQNL_COPY_META))
	must(t, q.SetMode(NFQNL_COPY_PACKET))
	l.Send(t, "stop")
	must(t, receive(t, ended))
	l.Arrive(t, "stop")

	must(t, q.DestroyQueue())
	l.Send(t, "not bound any more")
	l.Arrive(t, "not bound any more")
	must(t, q.CreateQueue(5))
	l.Send(t, "lost")
	q.Close()
	l.Send(t, "closed")
	l.Arrive(t, "closed")
	close(seen)
	for p := range seen {
		if p.GetInDev() != 0 || p.GetOutDev() != uint32(eth.Index) || p.GetPhysInDev() != 0 ||
			p.GetPhysOutDev() != 0 || p.GetNFMark() != 0 {
			t.Errorf("%q: in %d, out %d, phys %d %d, mark %d", udpText(p), p.GetInDev(), p.GetOutDev(),
				p.GetPhysInDev(), p.GetPhysOutDev(), p.GetNFMark())
		}
	}
}

// The next hook and the receiver see marks, modified packets and late verdicts.
func TestVerdictsOnTheWire(t *testing.T) {
	replaces := labtest.Replaces(t)
	l := newLab(t, netlab.Queue{Num: 5})
	next := labtest.Chain(t, l.Client, netlab.IP, netlab.Postrouting, 0)
	labtest.Rule(t, next, netlab.L4Proto(udp), netlab.ToQueue(netlab.Queue{Num: 6}))
	marks := make(chan uint32, 10)
	second := l.queue(t, func(p *Payload) int {
		marks <- p.GetNFMark()
		must(t, p.SetVerdict(NF_ACCEPT))
		return 0
	})
	later := make(chan *Payload, 1)
	first := l.queue(t, func(p *Payload) int {
		changed := append(p.Data[:28:28], strings.ToUpper(udpText(p))...)
		// Without a UDP checksum the packet stays valid; the length is as before.
		changed[26], changed[27] = 0, 0
		switch udpText(p) {
		case "plain":
			must(t, p.SetVerdict(NF_ACCEPT))
		case "marked":
			must(t, p.SetVerdictMark(NF_ACCEPT, 0xdeadbeef))
		case "modified":
			must(t, p.SetVerdictModified(NF_ACCEPT, changed))
		case "both":
			must(t, p.SetVerdictMarkModified(NF_ACCEPT, 7, changed))
		case "later":
			later <- p
		case "handed on":
			must(t, p.SetVerdictMark(NF_QUEUE|6<<16, 8))
		}
		return 0
	})
	for n, q := range map[int]*Queue{5: first, 6: second} {
		must(t, q.CreateQueue(n))
		ended := start(q)
		defer func() { q.Close(); want(t, <-ended, nfqueue.ErrClosed) }()
	}
	for _, c := range []struct {
		sent, arrives string
		marks         []uint32
	}{
		{"plain", "plain", []uint32{0}},
		{"marked", "marked", []uint32{0xdeadbeef}},
		{"modified", "MODIFIED", []uint32{0}},
		{"both", "BOTH", []uint32{7}},
		{"handed on", "handed on", []uint32{8, 8}},
		{"plain", "plain", []uint32{0}},
	} {
		if c.arrives != c.sent && !replaces {
			continue // the kernel would drop it
		}
		l.Send(t, c.sent)
		l.Arrive(t, c.arrives)
		for _, want := range c.marks {
			if m := receive(t, marks); m != want {
				t.Errorf("%q: mark %#x, want %#x", c.sent, m, want)
			}
		}
	}
	l.Send(t, "later", "plain")
	l.Arrive(t, "plain")
	must(t, receive(t, later).SetVerdictMark(NF_ACCEPT, 9))
	l.Arrive(t, "later")
	receive(t, marks)
	if m := receive(t, marks); m != 9 {
		t.Errorf("later: mark %#x", m)
	}
}

// Packets of two queues are decided at the same time by two goroutines.
func TestTwoQueues(t *testing.T) {
	l := newLab(t, netlab.Queue{Num: 5}, netlab.Queue{Num: 6})
	met, decided := make(chan bool), make(chan bool, 2)
	meet := func(p *Payload) int {
		select {
		case met <- true:
		case <-met:
		}
		must(t, p.SetVerdict(NF_ACCEPT))
		decided <- true
		return 0
	}
	for n := 5; n <= 6; n++ {
		q := l.queue(t, meet)
		must(t, q.CreateQueue(n))
		ended := start(q)
		defer func() { q.Close(); want(t, <-ended, nfqueue.ErrClosed) }()
	}
	to6, err := netlab.In(l.Client, func() (*net.UDPConn, error) {
		return net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(l.Server4, port+1)))
	})
	labtest.Must(t, err)
	defer to6.Close()
	l.Send(t, "met")
	if _, err := to6.Write([]byte("nobody listens there")); err != nil {
		t.Fatal(err)
	}
	l.Arrive(t, "met")
	receive(t, decided)
	receive(t, decided)
}

// Packets do not exceed the MTU, and their checksums are in place, as old programs expect.
func TestPacketsAsOnTheWire(t *testing.T) {
	labtest.NeedReplace(t)
	n := labtest.Pair(t)
	out := labtest.Chain(t, n.Client, netlab.IP, netlab.Output, 0)
	labtest.Rule(t, out, netlab.L4Proto(unix.IPPROTO_TCP), netlab.ToQueue(netlab.Queue{Num: 5}))
	l := &lab{Network: n}
	longest := 0
	q := l.queue(t, func(p *Payload) int {
		longest = max(longest, len(p.Data))
		// The last acknowledgement may be here while the queue closes.
		if err := p.SetVerdictModified(NF_ACCEPT, p.Data); err != nil &&
			!errors.Is(err, nfqueue.ErrClosed) {
			t.Error(err)
		}
		return 0
	})
	must(t, q.CreateQueue(5))
	ended := start(q)

	listener, err := netlab.In(n.Server, func() (*net.TCPListener, error) {
		return net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(n.Server4, port)))
	})
	labtest.Must(t, err)
	defer listener.Close()
	end := time.Now().Add(patience)
	must(t, listener.SetDeadline(end))
	got := make(chan int64, 1)
	go func() {
		total := int64(-1)
		defer func() { got <- total }()
		c, err := listener.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		if c.SetDeadline(end) == nil {
			total, _ = io.Copy(io.Discard, c)
		}
	}()
	c, err := netlab.In(n.Client, func() (net.Conn, error) {
		d := net.Dialer{Deadline: end}
		return d.Dial("tcp", netip.AddrPortFrom(n.Server4, port).String())
	})
	labtest.Must(t, err)
	defer c.Close()
	must(t, c.SetDeadline(end))
	const size = 1 << 20
	_, err = c.Write(make([]byte, size))
	must(t, err)
	must(t, c.Close())
	if total := receive(t, got); total != size {
		t.Errorf("%d bytes arrived, want %d", total, size)
	}
	q.Close()
	want(t, receive(t, ended), nfqueue.ErrClosed)
	if longest > 1500 || longest < 1400 {
		t.Errorf("the longest packet had %d bytes", longest)
	}
}

func TestPanicOnTheWire(t *testing.T) {
	l := newLab(t, netlab.Queue{Num: 5})
	q := l.queue(t, func(p *Payload) int {
		if udpText(p) == "panic" {
			panic(udpText(p))
		}
		must(t, p.SetVerdict(NF_ACCEPT))
		return 0
	})
	must(t, q.CreateQueue(5))
	panicked := make(chan any, 1)
	go func() {
		defer func() { panicked <- recover() }()
		q.Loop()
	}()
	l.Send(t, "before", "panic", "after")
	l.Arrive(t, "before")
	if err, _ := receive(t, panicked).(*nfqueue.PanicError); err == nil || err.Value != "panic" {
		t.Errorf("Loop panicked with %v", err)
	}
	ended := start(q)
	l.Arrive(t, "after")
	q.Close()
	want(t, receive(t, ended), nfqueue.ErrClosed)
}

func TestErrorsOfTheKernel(t *testing.T) {
	l := newLab(t)
	none := func(*Payload) int { return 0 }
	first, second := l.queue(t, none), l.queue(t, none)
	must(t, first.CreateQueue(5))
	want(t, second.CreateQueue(5), ErrRuntime, nfqueue.ErrQueueInUse)

	// On a thread without capabilities, which ends with its goroutine.
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var data [2]unix.CapUserData
		q := new(Queue)
		if err := unix.Capset(&hdr, &data[0]); err != nil {
			result <- err
			return
		}
		q.Init()
		q.SetCallback(none)
		result <- q.CreateQueue(7)
	}()
	want(t, receive(t, result), ErrRuntime, fs.ErrPermission)
}
