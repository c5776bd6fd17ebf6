// SPDX-License-Identifier: GPL-2.0-or-later

package rules_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/rules"
	"golang.org/x/sys/unix"
)

// neighbour is another program's queue, in which packets wait.
type neighbour struct {
	udp  *labtest.UDP
	held []*nfqueue.Held
	seen chan *nfqueue.Held
}

const (
	neighbourQueue = 900
	neighbourPort  = 9000
	waitingThere   = 40
)

// newNeighbour has packets wait in a queue of a host at a hook.
func newNeighbour(t *testing.T, h *netlab.Host, hook netlab.Hook) *neighbour {
	t.Helper()
	labtest.Rule(t, labtest.Chain(t, h, netlab.IP, hook, 0), netlab.L4Proto(unix.IPPROTO_UDP),
		netlab.DstPort(neighbourPort), netlab.ToQueue(netlab.Queue{Num: neighbourQueue}))
	q, err := nfqueue.Open(nfqueue.Config{Queue: neighbourQueue, NetNS: h.FD()})
	labtest.Must(t, err)
	n := &neighbour{seen: make(chan *nfqueue.Held, 4*waitingThere)}
	served := make(chan error, 1)
	go func() {
		served <- q.Serve(context.Background(),
			nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
				n.seen <- p.Defer()
				return nfqueue.Deferred
			}))
	}()
	t.Cleanup(func() {
		q.Close()
		if err := <-served; err != nil && !errors.Is(err, nfqueue.ErrClosed) {
			t.Error(err)
		}
	})
	n.udp = labtest.SendUDP(t, h, h, netip.AddrPortFrom(loopback, neighbourPort))
	for i := range uint32(waitingThere) {
		n.udp.Send(t, string(binary.BigEndian.AppendUint32(nil, i)))
		n.held = append(n.held, <-n.seen)
	}
	return n
}

// wantAll lets the packets go on and checks that each arrives, and that no other one does.
func (n *neighbour) wantAll(t *testing.T) {
	t.Helper()
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case h := <-n.seen: // one that is queued again
				_ = h.Resolve(nfqueue.Accept)
			case <-done:
				return
			}
		}
	}()
	defer func() { close(done); <-stopped }()
	for _, h := range n.held {
		labtest.Must(t, h.Resolve(nfqueue.Accept))
	}
	for i := range uint32(waitingThere) {
		n.udp.Arrive(t, string(binary.BigEndian.AppendUint32(nil, i)))
	}
}

// TestInstallSparesNeighbours: neither an Install that succeeds, nor one that the kernel
// refuses, costs packets that wait in other queues.
func TestInstallSparesNeighbours(t *testing.T) {
	for _, c := range []struct{ name, rule string }{
		{"behind", "out udp dport 1 priority 10"},
		{"before", "out udp dport 1 priority -10"},
		{"conntrack", "out udp dport 1 ct new"},
		{"offload", "out udp dport 1 offload"},
		{"refused", "in bridge"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := labtest.Host(t)
			n := newNeighbour(t, h, netlab.Output)
			set, err := rules.Install(rules.Config{NetNS: h.FD()}, parse(t, c.rule))
			if err == nil {
				defer set.Close()
			} else if c.name != "refused" {
				t.Fatal(err)
			}
			n.wantAll(t)
		})
	}
}

// TestCloseSparesNeighbours: the rules go at once, and the rest when nothing waits.
func TestCloseSparesNeighbours(t *testing.T) {
	for _, rule := range []string{
		"out udp dport 2000 nobypass", "out udp dport 2000 ct new nobypass offload",
	} {
		t.Run(rule, func(t *testing.T) {
			h := labtest.Host(t)
			set, err := rules.Install(rules.Config{NetNS: h.FD(), Logger: unexpected(t)},
				parse(t, rule))
			labtest.Must(t, err)
			n := newNeighbour(t, h, netlab.Output)
			l := listenUDP(t, h, netip.AddrPortFrom(loopback, 2000))
			closed := make(chan error, 1)
			go func() { closed <- set.Close() }()
			awaitUnqueued(t, l, l)
			if names := tables(t, h); !slices.Contains(names, set.Table()) {
				t.Errorf("the chain has gone while packets wait: %v", names)
			}
			n.wantAll(t)
			labtest.Must(t, <-closed)
			if names := tables(t, h); slices.Contains(names, set.Table()) {
				t.Errorf("the table is left: %v", names)
			}
		})
	}
}

// TestCloseWatches: a first look at a queue does not say when its next packet comes, so Close goes on
// looking.
func TestCloseWatches(t *testing.T) {
	const quietAfter = 100 * time.Millisecond
	h := labtest.Host(t)
	set := labtest.Install(t, h, "in udp dport 1")
	n := newNeighbour(t, h, netlab.Output)
	n.wantAll(t)
	start := time.Now()
	labtest.Must(t, set.Close())
	if took := time.Since(start); took < quietAfter {
		t.Errorf("Close took %v", took)
	}
}

// TestCloseInTurn: another process that changes its hooks delays Close.
func TestCloseInTurn(t *testing.T) {
	h := labtest.Host(t)
	set := labtest.Install(t, h, "in udp dport 1")
	n := newNeighbour(t, h, netlab.Output)
	n.wantAll(t)
	ns := labtest.NetNS(t, h)
	labtest.Must(t, unix.Flock(int(ns.Fd()), unix.LOCK_EX))
	const held = time.Second
	closed := make(chan error, 1)
	go func() { closed <- set.Close() }()
	select {
	case err := <-closed:
		t.Fatalf("Close did not wait: %v", err)
	case <-time.After(held):
	}
	labtest.Must(t, unix.Flock(int(ns.Fd()), unix.LOCK_UN))
	labtest.Must(t, <-closed)
}

// TestCloseWarns: when the packets of a neighbour do not go, Close says whose they are. The Logger may
// call every method.
func TestCloseWarns(t *testing.T) {
	h := labtest.Host(t)
	var log bytes.Buffer
	var set *rules.Set
	var owned bool
	logger := writerFunc(func(b []byte) (int, error) {
		labtest.Must(t, errors.Join(set.Stop(), set.Close(), set.Release()))
		if _, err := set.File(); err == nil || set.Owned() != owned || set.Table() == "" {
			t.Errorf("File: %v; owned %v, table %q", err, set.Owned(), set.Table())
		}
		return log.Write(b)
	})
	cfg := rules.Config{NetNS: h.FD(), Logger: slog.New(slog.NewTextHandler(logger, nil))}
	set, err := rules.Install(cfg, parse(t, "in udp dport 1"))
	labtest.Must(t, err)
	owned = set.Owned()
	newNeighbour(t, h, netlab.Output)
	labtest.Must(t, set.Close())
	for _, text := range []string{
		"level=WARN", "queue=900", "packets=40", "portid=",
		"(process " + strconv.Itoa(os.Getpid()) + ")",
	} {
		if !strings.Contains(log.String(), text) {
			t.Errorf("no %s in %s", text, &log)
		}
	}
}

type writerFunc func(b []byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// unexpected fails the test for what is logged.
func unexpected(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(failingWriter{t}, nil))
}

type failingWriter struct{ t *testing.T }

func (w failingWriter) Write(b []byte) (int, error) {
	w.t.Errorf("logged: %s", b)
	return len(b), nil
}

// TestStopKeepsConntrack: Stop does not end the use of conntrack, which would drop what waits in
// all queues.
func TestStopKeepsConntrack(t *testing.T) {
	h := labtest.Host(t)
	set := labtest.Install(t, h, "out udp dport 1 ct new")
	n := newNeighbour(t, h, netlab.Output)
	labtest.Must(t, set.Stop())
	// The kernel destroys the rule in the background, and before this is done.
	labtest.Install(t, h, "out udp dport 1")
	n.wantAll(t)
}
