// SPDX-License-Identifier: GPL-2.0-or-later

package rules_test

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/rules"
)

// TestRun: all that is queued when the context ends is decided by the handler, and what comes
// later passes.
func TestRun(t *testing.T) {
	labtest.NeedReplace(t)
	h := labtest.Host(t)
	ctx, cancel := context.WithCancel(context.Background())
	var began atomic.Bool
	first, release := make(chan struct{}), make(chan struct{})
	ran := make(chan error, 1)
	go func() {
		cfg := nfqueue.Config{NetNS: h.FD(), Fallback: nfqueue.Accept, Logger: unexpected(t)}
		ran <- rules.Run(ctx, cfg, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
			if !began.Swap(true) {
				close(first)
				<-release
			}
			return stamp(p)
		}), parse(t, "in udp dport 2000 queue 3-4"), parse(t, "in udp dport 2000 ip6 queue 4"))
	}()
	l := listenUDP(t, h, netip.AddrPortFrom(loopback, 2000))
	arrived := make(chan struct{})
	go func() { // until the handler has got the first
		defer close(arrived)
		b := make([]byte, 100)
		for {
			if n, _, err := l.ReadFrom(b); err != nil || !bytes.Equal(b[:n], plain) {
				return
			}
			sendUDP(t, l, l, plain)
		}
	}()
	sendUDP(t, l, l, plain)
	<-first
	for range waiting - 1 {
		sendUDP(t, l, l, plain)
	}
	cancel()
	late := listenUDP(t, h, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 2}), 2000))
	awaitUnqueued(t, l, late)
	close(release)
	labtest.Must(t, <-ran)
	<-arrived // of the first
	for range waiting - 1 {
		wantReceived(t, l, queued)
	}
	if names := tables(t, h); len(names) != 0 {
		t.Error("tables are left:", names)
	}
}

// waitForQueues returns when a host has so many queues.
func waitForQueues(t *testing.T, h *netlab.Host, n int) {
	t.Helper()
	for {
		queues, err := netlab.In(h, nfqueue.KernelQueues)
		labtest.Must(t, err)
		if len(queues) == n {
			return
		}
	}
}

// TestRunInstallsNothing: a program that cannot start has changed nothing.
func TestRunInstallsNothing(t *testing.T) {
	h := labtest.Host(t)
	taken, err := nfqueue.Open(nfqueue.Config{NetNS: h.FD(), Queue: 5})
	labtest.Must(t, err)
	defer taken.Close()
	accept := nfqueue.HandlerFunc(func(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Accept })
	ended, end := context.WithCancel(context.Background())
	end()
	run := func(all ...rules.Rule) error {
		return rules.Run(ended, nfqueue.Config{NetNS: h.FD()}, accept, all...)
	}
	n := newNeighbour(t, h, netlab.Output)
	if err := run(parse(t, "in udp queue 4-5")); !errors.Is(err, nfqueue.ErrQueueInUse) {
		t.Error(err)
	}
	var field *rules.FieldError
	if err := run(rules.Rule{Hook: 9}); !errors.As(err, &field) {
		t.Error(err)
	}
	waitForQueues(t, h, 2)
	n.wantAll(t)
}

// TestRunRefused: a program whose rules the kernel refuses has changed nothing.
func TestRunRefused(t *testing.T) {
	h := labtest.Host(t)
	accept := nfqueue.HandlerFunc(func(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Accept })
	ended, end := context.WithCancel(context.Background())
	end()
	run := func() error {
		return rules.Run(ended, nfqueue.Config{NetNS: h.FD()}, accept,
			parse(t, "in udp"), parse(t, "in bridge"))
	}
	if run() == nil {
		t.Log("this kernel can queue bridged packets, and refuses no rule")
		return
	}
	n := newNeighbour(t, h, netlab.Output)
	if err := run(); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
	waitForQueues(t, h, 1)
	n.wantAll(t)
}

// TestRunFails: when serving one queue ends, all end.
func TestRunFails(t *testing.T) {
	h := labtest.Host(t)
	failed := errors.New("failed")
	serve := func(ctx context.Context, q *nfqueue.Queue) error {
		if q.Number() == 4 {
			return failed
		}
		accept := func(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Accept }
		return q.Serve(ctx, nfqueue.HandlerFunc(accept))
	}
	err := rules.RunFunc(context.Background(), nfqueue.Config{NetNS: h.FD()}, serve,
		parse(t, "in udp queue 3-4"))
	if !errors.Is(err, failed) {
		t.Error(err)
	}
	waitForQueues(t, h, 0)
	if names := tables(t, h); len(names) != 0 {
		t.Error("tables are left:", names)
	}
}
