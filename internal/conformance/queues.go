// SPDX-License-Identifier: GPL-2.0-or-later

package conformance

import (
	"context"
	"slices"
	"testing"

	"github.com/chifflier/nfqueue-go"
)

// Kernel is a kernel with a path for datagrams, and a rule at the output hook that queues them.
type Kernel interface {
	// Open opens a queue.
	Open(nfqueue.Config) (*nfqueue.Queue, error)
	// Dial opens a socket, with which the test binds a queue and decides its packets by its own
	// messages.
	Dial() Socket
	// Send sends a datagram with a text. When it returns the datagram has been queued, dropped or let
	// through.
	Send(text string)
	// Receive waits for a datagram to arrive at its destination, and returns its text. It
	// fails the test if there is none.
	Receive() string
	// Passed returns how many datagrams have passed the rule. A verdict counts as soon as the kernel
	// has accepted it.
	Passed() int
	// Marked returns how many of those had the mark 1.
	Marked() int
	// NeedReplace skips the test if the kernel drops packets with a replaced payload.
	NeedReplace()
	// Flush drops all packets that wait in a queue, as the removal of a chain does.
	Flush()
}

// Rule is the rule of a Kernel. Datagrams with mark 2 pass before it.
type Rule struct {
	Queue  uint16
	Bypass bool
}

// lab is one test with a Kernel.
type lab struct {
	*testing.T
	Kernel
}

// TestQueues runs all tests of queues. make returns a new kernel for each, which vanishes with the
// test.
func TestQueues(t *testing.T, make func(*testing.T, Rule) Kernel) {
	for _, c := range queueCases {
		t.Run(c.name, func(t *testing.T) { c.test(lab{t, make(t, c.rule)}) })
	}
}

func (l lab) open(cfg nfqueue.Config) *nfqueue.Queue {
	l.Helper()
	q, err := l.Open(cfg)
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { q.Close() })
	return q
}

// send sends datagrams.
func (l lab) send(texts ...string) {
	for _, s := range texts {
		l.Send(s)
	}
}

// wantReceived waits for datagrams, in any order, and fails if there were others or if
// more have passed the rule since the test began.
func (l lab) wantReceived(texts ...string) {
	l.Helper()
	l.wantToCome(texts...)
	if n := l.Passed(); n != len(texts) {
		l.Errorf("%d datagrams have passed, want %d", n, len(texts))
	}
}

// wantToCome waits for datagrams, in any order.
func (l lab) wantToCome(texts ...string) {
	l.Helper()
	var got []string
	for range texts {
		got = append(got, l.Receive())
	}
	slices.Sort(got)
	want := slices.Sorted(slices.Values(texts))
	if !slices.Equal(got, want) {
		l.Errorf("received %q, want %q", got, want)
	}
}

// serving is a running Serve.
type serving struct {
	lab
	queue  *nfqueue.Queue
	cancel context.CancelFunc
	result chan error
}

func (l lab) serve(q *nfqueue.Queue, h nfqueue.HandlerFunc) *serving {
	ctx, cancel := context.WithCancel(context.Background())
	s := &serving{l, q, cancel, make(chan error, 1)}
	go func() { s.result <- q.Serve(ctx, h) }()
	l.Cleanup(cancel)
	return s
}

// stop has Serve drain its queue.
func (s *serving) stop() nfqueue.Stats {
	s.Helper()
	s.cancel()
	if err := <-s.result; err != nil {
		s.Errorf("Serve: %v", err)
	}
	return s.queue.Stats()
}

// drain serves a queue until it is empty.
func (l lab) drain(q *nfqueue.Queue, h nfqueue.HandlerFunc) nfqueue.Stats {
	l.Helper()
	return l.serve(q, h).stop()
}

// text returns the text of a UDP datagram.
func text(p *nfqueue.Packet) string {
	const headers = 20 + 8
	if b := p.Payload(); len(b) > headers {
		return string(b[headers:])
	}
	return ""
}

// by chooses the verdict by the text of the packet.
func by(verdicts map[string]nfqueue.Verdict) nfqueue.HandlerFunc {
	return func(p *nfqueue.Packet) nfqueue.Verdict { return verdicts[text(p)] }
}

func always(v nfqueue.Verdict) nfqueue.HandlerFunc {
	return func(*nfqueue.Packet) nfqueue.Verdict { return v }
}
