// SPDX-License-Identifier: GPL-2.0-or-later

package queue_test

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
	"golang.org/x/sys/unix"
)

// TestCopyModes checks the payload with each copy mode and range.
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
			lab := queuelab.NewVerdictLab(t, netlab.IP, queuelab.Localhost)
			queuelab.QueueUDP(t, lab.Queueing, netlab.Queue{Num: 1})
			c.cfg.Queue = 1
			type lengths struct {
				payload, full int
				truncated     bool
			}
			got := make(chan lengths, 1)
			queuelab.Serve(t, lab.Host, c.cfg, func(p *nfqueue.Packet) nfqueue.Verdict {
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
			lab.In(long)
			lab.Out(t, long)
			if g, want := queuelab.WaitFor(t, got), (lengths{c.payload, c.full, c.truncated}); g != want {
				t.Errorf("lengths %+v, want %+v", g, want)
			}
		})
	}
}

// TestCopyNone: the kernel drops all packets without a message.
func TestCopyNone(t *testing.T) {
	lab := queuelab.NewVerdictLab(t, netlab.IP, queuelab.Localhost)
	rule := queuelab.QueueUDP(t, lab.Queueing, netlab.Queue{Num: 1, Bypass: true})
	queuelab.Serve(t, lab.Host, nfqueue.Config{Queue: 1, CopyMode: nfqueue.CopyNone},
		func(p *nfqueue.Packet) nfqueue.Verdict {
			t.Error("a packet came")
			return nfqueue.Accept
		})
	lab.In("dropped")
	labtest.Must(t, rule.Delete())
	lab.In("not queued")
	lab.Out(t, "not queued")
}

// TestOwner checks the ids of the user who opened the sending socket.
func TestOwner(t *testing.T) {
	lab := queuelab.NewVerdictLab(t, netlab.IP, queuelab.Localhost)
	queuelab.QueueUDP(t, lab.Queueing, netlab.Queue{Num: 1})
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
	q := queuelab.Serve(t, lab.Host, nfqueue.Config{Queue: 1, Flags: nfqueue.UIDGID}, look)
	lab.In("owned")
	lab.Out(t, "owned")
	// The kernel tells the ids of the initial user namespace.
	if g, want := queuelab.WaitFor(t, got), (ids{queuelab.OuterID(t, "uid_map"),
		queuelab.OuterID(t, "gid_map"), true, true}); g != want {
		t.Errorf("ids %+v, want %+v", g, want)
	}
	q.Close()
	queuelab.Serve(t, lab.Host, nfqueue.Config{Queue: 1}, look)
	lab.In("not asked")
	lab.Out(t, "not asked")
	if g := queuelab.WaitFor(t, got); g != (ids{}) {
		t.Errorf("ids %+v without UIDGID", g)
	}
}

// TestOwnerOfReceiver: at input the ids are those of the socket that will receive the packet, once
// its connection is established. The sender is on another host.
func TestOwnerOfReceiver(t *testing.T) {
	n := labtest.Pair(t)
	labtest.Rule(t, labtest.Chain(t, n.Server, netlab.IP, netlab.Input, 0),
		netlab.L4Proto(unix.IPPROTO_TCP), netlab.ToQueue(netlab.Queue{Num: 1}))
	type owner struct {
		uid  uint32
		ok   bool
		data int
	}
	got := make(chan owner, 10)
	queuelab.Serve(t, n.Server, nfqueue.Config{Queue: 1, Flags: nfqueue.UIDGID},
		func(p *nfqueue.Packet) nfqueue.Verdict {
			var o owner
			o.uid, o.ok = p.UID()
			segment, _ := p.Transport()
			o.data = len(segment.Body)
			got <- o
			return nfqueue.Accept
		})
	to := netip.AddrPortFrom(n.Server4, queuelab.Port)
	l, err := netlab.In(n.Server, func() (net.Listener, error) { return net.Listen("tcp", to.String()) })
	labtest.Must(t, err)
	defer l.Close()
	c, err := netlab.In(n.Client, func() (net.Conn, error) { return net.Dial("tcp", to.String()) })
	labtest.Must(t, err)
	defer c.Close()
	if o := queuelab.WaitFor(t, got); o.ok {
		t.Errorf("the SYN has owner %d", o.uid)
	}
	s, err := l.Accept() // only now has the connection a file, and with it an owner
	labtest.Must(t, err)
	defer s.Close()
	_, err = c.Write([]byte("hi"))
	labtest.Must(t, err)
	for {
		o := queuelab.WaitFor(t, got)
		if o.data == 0 {
			continue
		}
		if want := queuelab.OuterID(t, "uid_map"); !o.ok || o.uid != want {
			t.Errorf("data has owner %d, %v; want the receiver, %d", o.uid, o.ok, want)
		}
		return
	}
}

// TestTime: the kernel tells the time of receipt while a socket wants timestamps.
func TestTime(t *testing.T) {
	n := labtest.Pair(t)
	queuelab.QueueUDP(t, labtest.Chain(t, n.Server, netlab.IP, netlab.Input, 0), netlab.Queue{Num: 1})
	l := queuelab.ListenUDP(t, n.Server, netip.AddrPortFrom(n.Server4, queuelab.Port))
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
	queuelab.Serve(t, n.Server, nfqueue.Config{Queue: 1}, func(p *nfqueue.Packet) nfqueue.Verdict {
		var s stamp
		s.t, s.ok = p.Time()
		got <- s
		return nfqueue.Accept
	})
	// A worker of the kernel enables timestamping some time after the option is set.
	c := queuelab.DialUDP(t, n.Client, netip.AddrPortFrom(n.Server4, queuelab.Port))
	for begin := time.Now(); ; {
		before := time.Now().Truncate(time.Microsecond)
		queuelab.Send(t, c, "tick")
		queuelab.Receive(t, l, "tick")
		s := queuelab.WaitFor(t, got)
		if !s.ok && time.Since(begin) < queuelab.Patience {
			continue
		}
		if !s.ok || s.t.Before(before) || s.t.After(time.Now()) {
			t.Fatalf("time %v, %v; want one from %v to now", s.t, s.ok, before)
		}
		return
	}
}

// TestSegmentationOffload checks that GSO is on by default: TCP packets are then larger than the
// MTU.
func TestSegmentationOffload(t *testing.T) {
	for _, flags := range []nfqueue.Flags{0, nfqueue.NoGSO} {
		noGSO := flags == nfqueue.NoGSO
		t.Run(map[bool]string{false: "default", true: "NoGSO"}[noGSO], func(t *testing.T) {
			n := labtest.Pair(t)
			chain := labtest.Chain(t, n.Client, netlab.IP, netlab.Output, 0)
			labtest.Rule(t, chain, netlab.L4Proto(6), netlab.ToQueue(netlab.Queue{Num: 1}))
			largest, offloaded := 0, nfqueue.SKBInfo(0)
			q := queuelab.Serve(t, n.Client, nfqueue.Config{Queue: 1, Flags: flags},
				func(p *nfqueue.Packet) nfqueue.Verdict {
					largest = max(largest, len(p.Payload()))
					offloaded |= p.SKBInfo()
					return nfqueue.Accept
				})
			sent := strings.Repeat("all of this arrives ", 50_000)
			if got := transfer(t, n, sent); got != sent {
				t.Fatalf("received %d bytes that differ from the %d sent", len(got), len(sent))
			}
			queuelab.Stop(t, q)
			if noGSO && (largest > 1500 || offloaded != 0) || !noGSO &&
				(largest <= 1500 || offloaded&nfqueue.SegmentationPending == 0) {
				t.Errorf("largest packet %d bytes, %v", largest, offloaded)
			}
		})
	}
}

// transfer sends data over TCP from client to server and returns what arrives.
func transfer(t *testing.T, n *netlab.Network, data string) string {
	t.Helper()
	l, err := netlab.In(n.Server, func() (net.Listener, error) {
		return net.Listen("tcp", netip.AddrPortFrom(n.Server4, queuelab.Port).String())
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
			c.SetDeadline(time.Now().Add(queuelab.Patience))
			_, err = c.Write([]byte(data))
			return err
		}()
	}()
	got := queuelab.ReadAll(t, l)
	labtest.Must(t, queuelab.WaitFor(t, sent))
	return got
}
