// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"golang.org/x/sys/unix"
)

var localhost = netip.MustParseAddr("127.0.0.1")

// TestCopyModes checks what each copy mode and range brings.
func TestCopyModes(t *testing.T) {
	replaces := labtest.Replaces(t)
	long := strings.Repeat("0123456789", 100)
	for _, c := range []struct {
		name      string
		cfg       nfqueue.Config
		payload   int
		full      int
		truncated bool
	}{
		{"packet", nfqueue.Config{}, 1028, 1028, false},
		{"range above the packet", nfqueue.Config{CopyRange: 1029}, 1028, 1028, false},
		{"range of the packet", nfqueue.Config{CopyRange: 1028}, 1028, 1028, false},
		{"range below the packet", nfqueue.Config{CopyRange: 100}, 100, 1028, true},
		{"odd range", nfqueue.Config{CopyRange: 29}, 29, 1028, true},
		{"meta", nfqueue.Config{CopyMode: nfqueue.CopyMeta}, 0, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			lab := newVerdictLab(t, netlab.IP, localhost)
			queueUDP(t, lab.queueing, netlab.Queue{Num: 1})
			c.cfg.Queue = 1
			type lengths struct {
				payload, full int
				truncated     bool
			}
			got := make(chan lengths, 1)
			serve(t, lab.Host, c.cfg, func(p *nfqueue.Packet) nfqueue.Verdict {
				got <- lengths{len(p.Payload()), p.FullLen(), p.Truncated()}
				p.SetMark(1)
				if whole := c.payload == c.full && c.payload > 0; replaces || !whole {
					err := p.SetPayload(p.Payload())
					if whole != (err == nil) || !whole && !errors.Is(err, nfqueue.ErrTruncated) {
						t.Errorf("SetPayload: %v", err)
					}
				}
				return nfqueue.Accept
			})
			lab.in(long)
			lab.out(t, long)
			if g, want := waitFor(t, got), (lengths{c.payload, c.full, c.truncated}); g != want {
				t.Errorf("lengths %+v, want %+v", g, want)
			}
		})
	}
}

// TestCopyNone: the kernel drops all and tells nobody.
func TestCopyNone(t *testing.T) {
	lab := newVerdictLab(t, netlab.IP, localhost)
	rule := queueUDP(t, lab.queueing, netlab.Queue{Num: 1, Bypass: true})
	serve(t, lab.Host, nfqueue.Config{Queue: 1, CopyMode: nfqueue.CopyNone}, func(p *nfqueue.Packet) nfqueue.Verdict {
		t.Error("a packet came")
		return nfqueue.Accept
	})
	lab.in("dropped")
	labtest.Must(t, rule.Delete())
	lab.in("not queued")
	lab.out(t, "not queued")
}

// TestOwner checks the ids of whoever opened the sending socket.
func TestOwner(t *testing.T) {
	lab := newVerdictLab(t, netlab.IP, localhost)
	queueUDP(t, lab.queueing, netlab.Queue{Num: 1})
	type ids struct {
		uid, gid     uint32
		uidOK, gidOK bool
	}
	got := make(chan ids, 2)
	look := func(p *nfqueue.Packet) nfqueue.Verdict {
		var i ids
		i.uid, i.uidOK = p.UID()
		i.gid, i.gidOK = p.GID()
		got <- i
		return nfqueue.Accept
	}
	q := serve(t, lab.Host, nfqueue.Config{Queue: 1, Flags: nfqueue.UIDGID}, look)
	lab.in("owned")
	lab.out(t, "owned")
	// The kernel tells the ids of the initial user namespace.
	if g, want := waitFor(t, got), (ids{outerID(t, "uid_map"), outerID(t, "gid_map"), true, true}); g != want {
		t.Errorf("ids %+v, want %+v", g, want)
	}
	q.Close()
	serve(t, lab.Host, nfqueue.Config{Queue: 1}, look)
	lab.in("not asked")
	lab.out(t, "not asked")
	if g := waitFor(t, got); g != (ids{}) {
		t.Errorf("ids %+v without UIDGID", g)
	}
}

// outerID returns the id that root of the current user namespace has in its parent.
func outerID(t *testing.T, file string) uint32 {
	t.Helper()
	b, err := os.ReadFile("/proc/self/" + file)
	labtest.Must(t, err)
	var inner, outer uint32
	if _, err := fmt.Sscan(string(b), &inner, &outer); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if inner != 0 {
		t.Fatalf("%s maps from %d, want 0", file, inner)
	}
	return outer
}

// TestTime: the kernel tells the time of receipt while a socket wants timestamps.
func TestTime(t *testing.T) {
	n := labtest.Pair(t)
	queueUDP(t, labtest.Chain(t, n.Server, netlab.IP, netlab.Input, 0), netlab.Queue{Num: 1})
	l := listenUDP(t, n.Server, netip.AddrPortFrom(n.Server4, port))
	raw, err := l.SyscallConn()
	labtest.Must(t, err)
	var serr error
	labtest.Must(t, raw.Control(func(fd uintptr) { serr = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMP, 1) }))
	labtest.Must(t, serr)
	type stamp struct {
		t  time.Time
		ok bool
	}
	got := make(chan stamp, 1)
	serve(t, n.Server, nfqueue.Config{Queue: 1}, func(p *nfqueue.Packet) nfqueue.Verdict {
		var s stamp
		s.t, s.ok = p.Time()
		got <- s
		return nfqueue.Accept
	})
	// Timestamping is switched on by a worker of the kernel's some time after the
	// option was set.
	c := dialUDP(t, n.Client, netip.AddrPortFrom(n.Server4, port))
	for begin := time.Now(); ; {
		before := time.Now().Truncate(time.Microsecond)
		send(t, c, "tick")
		receive(t, l, "tick")
		s := waitFor(t, got)
		if !s.ok && time.Since(begin) < patience {
			continue
		}
		if !s.ok || s.t.Before(before) || s.t.After(time.Now()) {
			t.Fatalf("time %v, %v; want one from %v to now", s.t, s.ok, before)
		}
		return
	}
}

// TestSegmentationOffload checks that GSO is on unless it is refused: TCP packets
// then come larger than the MTU.
func TestSegmentationOffload(t *testing.T) {
	for _, noGSO := range []bool{false, true} {
		t.Run(map[bool]string{false: "default", true: "NoGSO"}[noGSO], func(t *testing.T) {
			n := labtest.Pair(t)
			chain := labtest.Chain(t, n.Client, netlab.IP, netlab.Output, 0)
			labtest.Rule(t, chain, netlab.L4Proto(6), netlab.ToQueue(netlab.Queue{Num: 1}))
			largest, offloaded := 0, nfqueue.SKBInfo(0)
			q := serve(t, n.Client, nfqueue.Config{Queue: 1, NoGSO: noGSO}, func(p *nfqueue.Packet) nfqueue.Verdict {
				largest = max(largest, len(p.Payload()))
				offloaded |= p.SKBInfo()
				return nfqueue.Accept
			})
			sent := strings.Repeat("all of this arrives ", 50_000)
			if got := transfer(t, n, sent); got != sent {
				t.Fatalf("received %d bytes that differ from the %d sent", len(got), len(sent))
			}
			stop(t, q)
			if noGSO && (largest > 1500 || offloaded != 0) || !noGSO && (largest <= 1500 || offloaded&nfqueue.SegmentationPending == 0) {
				t.Errorf("largest packet %d bytes, %v", largest, offloaded)
			}
		})
	}
}

// transfer sends data over TCP from client to server and returns what arrives.
func transfer(t *testing.T, n *netlab.Network, data string) string {
	t.Helper()
	l, err := netlab.In(n.Server, func() (net.Listener, error) {
		return net.Listen("tcp", netip.AddrPortFrom(n.Server4, port).String())
	})
	labtest.Must(t, err)
	defer l.Close()
	sent := make(chan error, 1)
	go func() {
		sent <- func() error {
			c, err := netlab.In(n.Client, func() (net.Conn, error) { return net.Dial("tcp", l.Addr().String()) })
			if err != nil {
				return err
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(patience))
			_, err = c.Write([]byte(data))
			return err
		}()
	}()
	got := readAll(t, l)
	labtest.Must(t, waitFor(t, sent))
	return got
}
