// SPDX-License-Identifier: GPL-2.0-or-later

package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
)

// ErrFailed means that the far end did not receive exactly what the verdicts allow.
var ErrFailed = errors.New("the far end did not receive exactly what the verdicts allow")

// timeLimit ends the wait for traffic that should arrive and was lost. Without loss the scenario
// takes much less.
const timeLimit = 20 * time.Second

// Run runs the scenario and shows it on out, with all packets or some of each kind. It returns nil
// if everything is as expected, an error that matches ErrFailed if not, and that of ctx when it
// ended first. The process has to be able to make hosts, see netlab.Enter and netlab.Check.
func Run(ctx context.Context, out io.Writer, colour, all bool) error {
	return run(ctx, &screen{out: out, colour: colour, all: all}, timeLimit,
		func(h nfqueue.Handler) nfqueue.Handler { return h })
}

// run is Run with another time limit and with a handler around the scenario's.
func run(
	ctx context.Context,
	s *screen,
	limit time.Duration,
	around func(nfqueue.Handler) nfqueue.Handler,
) error {
	start := time.Now()
	network, err := netlab.NewRouted()
	if err != nil {
		return err
	}
	defer func() { _ = network.Close() }()
	set, err := queueForwarded(network.Middle)
	if err != nil {
		return err
	}
	defer func() { _ = set.Close() }()
	marks, err := addMarkRules(network.Middle)
	if err != nil {
		return err
	}
	q, err := nfqueue.Open(nfqueue.Config{Queue: queueNumber, NetNS: network.Middle.FD()})
	if err != nil {
		return err
	}
	defer func() { _ = q.Close() }()

	replaces, err := netlab.ReplacesPayload()
	if err != nil {
		return err
	}
	all := newFlows()
	h := &handler{
		flows:  all,
		screen: s,
		start:  time.Now(),
		intact: !replaces,
		server: []netip.Addr{network.Server4, network.Server6},
	}
	s.printf("client %v, %v -- router, forward, queue %d -- server %v, %v\n\n",
		network.Client4, network.Client6, queueNumber, network.Server4, network.Server6)
	s.packetHeader()

	paths := []*path{
		newPath(network, nfqueue.FamilyIPv4, all, h.intact),
		newPath(network, nfqueue.FamilyIPv6, all, h.intact),
	}
	defer func() {
		for _, p := range paths {
			p.close()
		}
	}()
	err = exchange(ctx, limit, paths, q, around(h))
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil && !errors.Is(err, ErrFailed) {
		return err
	}

	// Packets that came late have arrived by now.
	for _, p := range paths {
		err = errors.Join(err, p.collect())
	}
	err = errors.Join(err, marks.count(all))
	s.summary(h, q.Stats())
	failed := s.report(all)
	switch {
	case err != nil:
		return err
	case failed > 0:
		return fmt.Errorf("%w: %d of %d flows failed", ErrFailed, failed, len(all))
	}
	if h.intact {
		s.printf(
			"nothing was rewritten: this kernel drops rewritten packets in user namespaces; run as root to see some\n",
		)
	}
	s.printf(
		"%s\n",
		s.paint(green,
			fmt.Sprintf("all %d flows as expected, in %.1f s", len(all), time.Since(start).Seconds())),
	)
	return s.err
}

// exchange sends the traffic through the queue until all of it is decided. The error matches
// ErrFailed if some was lost although it should pass.
func exchange(
	ctx context.Context,
	limit time.Duration,
	paths []*path,
	q *nfqueue.Queue,
	h nfqueue.Handler,
) error {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	traffic, stop := context.WithCancel(limited)
	served := make(chan error, 1)
	go func() {
		defer stop()
		err := q.Serve(context.WithoutCancel(ctx), h)
		if errors.Is(err, nfqueue.ErrClosed) { // Shutdown came before Serve
			err = nil
		}
		served <- err
	}()
	var err error
	for _, p := range paths {
		if err = p.exchange(traffic); err != nil {
			break
		}
	}
	if err != nil && limited.Err() != nil {
		err = fmt.Errorf("%w: the traffic did not end within %v: %w", ErrFailed, limit, err)
	}
	return errors.Join(err, q.Shutdown(limited), <-served)
}
