// SPDX-License-Identifier: GPL-2.0-or-later

package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"slices"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/rules"
	"golang.org/x/sys/unix"
)

// limits reports how large queues can be. Recent kernels find a packet by a hash of its id; others
// walk the list of all that wait, oldest first.
func (r *Report) limits(h *netlab.Host) {
	r.add("copy-range", OK, "", "up to %d bytes of a packet are copied", nfqueue.MaxPayload)
	hashed, err := findsByHash(h)
	switch {
	case err != nil:
		r.add("lookup", Unknown, "", "how the kernel finds a packet by its id: %v", err)
	case hashed:
		r.add("lookup", OK, "",
			"packets can be decided in any order at the same cost; at most 65536 can wait in a queue")
	default:
		r.add(
			"lookup",
			Info,
			"decide packets in the order in which they come, or keep the maximum length below some thousands",
			"the cost of deciding a packet grows with the number of older ones that wait",
		)
	}
}

// depth is how many packets wait while findsByHash decides them.
const depth = 8192

// findsByHash compares the cost of deciding packets oldest first and newest first. Newest first
// takes many times longer if the kernel walks a list, and equally long if it does not.
func findsByHash(h *netlab.Host) (bool, error) {
	var oldest, newest time.Duration
	for range 2 {
		inOrder, err := decide(h, func([]*nfqueue.Held) {})
		if err != nil {
			return false, err
		}
		backwards, err := decide(h, slices.Reverse[[]*nfqueue.Held])
		if err != nil {
			return false, err
		}
		if oldest == 0 || inOrder < oldest {
			oldest = inOrder
		}
		if newest == 0 || backwards < newest {
			newest = backwards
		}
	}
	const muchLonger = 5 / 2.0
	return float64(newest) < muchLonger*float64(oldest), nil
}

// decide makes packets wait, and returns how much processor time it takes to drop them in the order
// made by reorder.
func decide(h *netlab.Host, reorder func([]*nfqueue.Held)) (spent time.Duration, err error) {
	set, err := rules.Install(rules.Config{NetNS: h.FD()},
		rules.Rule{Hook: nfqueue.HookOutput, Protocol: rules.UDP})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, set.Close()) }()
	q, err := nfqueue.Open(
		nfqueue.Config{
			NetNS:    h.FD(),
			CopyMode: nfqueue.CopyMeta,
			MaxLen:   depth,
			Flags:    nfqueue.NoGSO,
		},
	)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, q.Close()) }()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	arrived := make(chan *nfqueue.Held, depth)
	served := make(chan error, 1)
	go func() {
		served <- q.Serve(ctx, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
			arrived <- p.Defer()
			return nfqueue.Deferred
		}))
	}()
	held, err := fill(ctx, h, arrived)
	if err == nil {
		reorder(held)
		spent, err = drop(held)
	}
	for _, p := range held {
		_ = p.Resolve(nfqueue.Drop) // those that an error has left
	}
	cancel()
	return spent, errors.Join(err, <-served)
}

// fill sends packets, a few at a time, since the receive buffer may be small.
func fill(
	ctx context.Context,
	h *netlab.Host,
	arrived <-chan *nfqueue.Held,
) (held []*nfqueue.Held, err error) {
	const (
		perSend   = 64
		perSocket = 128 // waiting packets fill the send buffer of a socket
	)
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			err = errors.Join(err, c.Close())
		}
	}()
	for len(held) < depth {
		if len(held)%perSocket == 0 {
			c, err := netlab.In(h, func() (net.Conn, error) { return net.Dial("udp4", "127.0.0.1:9") })
			if err != nil {
				return held, err
			}
			conns = append(conns, c)
		}
		for range perSend {
			if _, err := conns[len(conns)-1].Write([]byte{0}); err != nil {
				return held, err
			}
		}
		for range perSend {
			select {
			case p := <-arrived:
				held = append(held, p)
			case <-ctx.Done():
				return held, fmt.Errorf("only %d packets were queued", len(held))
			}
		}
	}
	return held, nil
}

// drop drops packets and returns how much processor time that takes.
func drop(held []*nfqueue.Held) (time.Duration, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start, err := threadTime()
	if err != nil {
		return 0, err
	}
	for _, p := range held {
		if err := p.Resolve(nfqueue.Drop); err != nil {
			return 0, err
		}
	}
	end, err := threadTime()
	return end - start, err
}

// threadTime returns the processor time of the calling thread.
func threadTime() (time.Duration, error) {
	var t unix.Timespec
	err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t)
	return time.Duration(t.Nano()), err
}
