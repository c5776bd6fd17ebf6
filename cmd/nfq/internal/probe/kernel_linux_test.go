// SPDX-License-Identifier: GPL-2.0-or-later

package probe

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { labtest.Main(m) }

// find returns the findings of a check.
func (r *Report) find(check string) (found []Finding) {
	for _, f := range r.Findings {
		if f.Check == check {
			found = append(found, f)
		}
	}
	return found
}

func TestKernel(t *testing.T) {
	labtest.Need(t)
	r, err := Kernel()
	labtest.Must(t, err)
	for _, f := range r.Findings {
		t.Logf("%s: %s", f.Severity, f.Text)
	}
	if r.Count(Problem) > 0 || r.Count(Unknown) > 0 {
		t.Error("problems, or not checked")
	}
	for _, check := range []string{"nfnetlink_queue", "flag-fail-open", "flag-gso", "flag-uid-gid",
		"rules", "copy-range"} {
		if found := r.find(check); len(found) != 1 || found[0].Severity != OK {
			t.Errorf("%s: %+v", check, found)
		}
	}
	for _, check := range []string{"flag-conntrack", "flag-secctx", "rules-bridge", "rules-conntrack",
		"rules-owned", "lookup"} {
		if found := r.find(check); len(found) != 1 {
			t.Errorf("%s: %+v", check, found)
		}
	}
}

// TestBuffers compares what is recommended with what the package asks for.
func TestBuffers(t *testing.T) {
	h := labtest.Host(t)
	q, err := nfqueue.Open(nfqueue.Config{NetNS: h.FD()})
	labtest.Must(t, err)
	granted := q.Stats().ReadBuffer
	labtest.Must(t, q.Close())
	limit, err := largestBuffer(unix.SO_RCVBUF)
	labtest.Must(t, err)
	_, withGSO := receiveBuffer()
	if !inInitialUserNS() && limit < withGSO {
		if granted != limit {
			t.Errorf("a queue was granted %d, and the limit found is %d", granted, limit)
		}
	} else if granted < withGSO {
		t.Errorf("a queue was granted %d, less than %d", granted, withGSO)
	}
}

func open(t *testing.T, h *netlab.Host, cfg nfqueue.Config) {
	cfg.NetNS = h.FD()
	q, err := nfqueue.Open(cfg)
	labtest.Must(t, err)
	t.Cleanup(func() { labtest.Must(t, q.Close()) })
}

func nothing() (*Report, error) { return &Report{}, nil }

func TestRun(t *testing.T) {
	h := labtest.Host(t)
	labtest.Install(t, h,
		"out ip udp dport 1 queue 1 nobypass",
		"out ip udp dport 2 queue 2",
		"out ip udp dport 3 queue 3 nobypass",
		"out ip udp dport 20 queue 20-29 nobypass",
		"out tcp dport 30 queue 30 nobypass", // several rules of nf_tables
	)
	for _, cfg := range []nfqueue.Config{
		{Queue: 3, MaxLen: 2}, {Queue: 4}, {Queue: 20}, {Queue: 21},
		{Queue: 22, CopyMode: nfqueue.CopyNone},
	} {
		open(t, h, cfg)
	}
	send(t, h, "127.0.0.1:3", 5)
	r, err := Run(labtest.NetNS(t, h), nothing)
	labtest.Must(t, err)
	for _, want := range []struct {
		check    string
		severity Severity
		text     string // a part
	}{
		{"rule-served", Problem, "(queue 1): nobody serves queue 1; the packets are dropped"},
		{"rule-served", Info, "(queue 2): nobody serves queue 2; packets pass (bypass)"},
		{"rule-served", OK, "(queue 3): served"},
		{"rule-served", Problem, "(queues 20 to 29): nobody serves queue 23, 24, 25, 26 and 3 more; the packets are dropped"},
		{"rule-served", Problem, ", 3 rules (queue 30): nobody serves queue 30; the packets are dropped"},
		{"queue-rule", Warning, "queue 4 of "},
		{"queue-stuck", Warning, ": 2 packets wait"},
		{"queue-dropped", Warning, ": 3 packets dropped"},
		{"queue-copy-mode", Problem, "queue 22 of "},
	} {
		var n int
		for _, f := range r.find(want.check) {
			if f.Severity == want.severity && strings.Contains(f.Text, want.text) {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%s %s %q: %d findings in %+v", want.check, want.severity, want.text, n,
				r.find(want.check))
		}
	}
	if n := len(r.find("queue-rule")); n != 1 {
		t.Errorf("%d queues without a rule, want 1: %+v", n, r.find("queue-rule"))
	}
	if r.Count(Problem) != 4 || r.Count(Unknown) != 0 {
		t.Errorf("%d problems and %d not checked: %+v", r.Count(Problem), r.Count(Unknown), r.Findings)
	}
	for _, f := range r.find("rule-served") {
		deletes := 1
		if strings.Contains(f.Text, "3 rules") {
			deletes = 3
		}
		const del = "nft delete rule inet nfqueue-"
		if f.Severity == Problem && strings.Count(f.Fix, del) != deletes {
			t.Errorf("fix %q", f.Fix)
		}
	}
}

// TestHungWithTraffic has a queue that nobody works off and one whose program keeps some packets
// and decides others, both with packets coming during the check.
func TestHungWithTraffic(t *testing.T) {
	h := labtest.Host(t)
	labtest.Install(t, h, "out ip udp dport 5 queue 5", "out ip udp dport 6 queue 6")
	open(t, h, nfqueue.Config{Queue: 5, MaxLen: 3})
	busy, err := nfqueue.Open(nfqueue.Config{Queue: 6, NetNS: h.FD()})
	labtest.Must(t, err)
	t.Cleanup(func() { labtest.Must(t, busy.Close()) })
	ctx, cancel := context.WithCancel(context.Background())
	served, came := make(chan error, 1), make(chan struct{})
	go func() {
		first := true
		served <- busy.Serve(ctx, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
			defer func() { came <- struct{}{} }()
			if first {
				first = false
				p.Defer()
				return nfqueue.Deferred
			}
			return nfqueue.Accept
		}))
	}()
	send := func(n int) error {
		err := errors.Join(h.Do(func() error { return sendUDP("127.0.0.1:5", n) }),
			h.Do(func() error { return sendUDP("127.0.0.1:6", n) }))
		for range n {
			<-came
		}
		return err
	}
	labtest.Must(t, send(2))
	r, err := Run(labtest.NetNS(t, h), func() (*Report, error) { return &Report{}, send(5) })
	labtest.Must(t, err)
	if found := r.find("queue-stuck"); len(found) != 1 ||
		!strings.HasPrefix(found[0].Text, "queue 5 of ") ||
		!strings.Contains(found[0].Text, ": 3 packets wait, and none was decided in 2.") {
		t.Errorf("%+v", found)
	}
	cancel()
	labtest.Must(t, <-served)
}

func TestRunQuiet(t *testing.T) {
	h := labtest.Host(t)
	r, err := Run(labtest.NetNS(t, h), nothing)
	labtest.Must(t, err)
	if r.Count(Problem) != 0 || len(r.find("rules-present")) != 1 ||
		len(r.find("queues-present")) != 1 {
		t.Errorf("%+v", r.Findings)
	}
}

// The kernel tells who is bound without the table, and is not changed by that.
func TestAskKernel(t *testing.T) {
	h := labtest.Host(t)
	open(t, h, nfqueue.Config{Queue: 300})
	for queue, want := range map[uint16]bool{300: true, 299: false, 0: false} {
		for range 2 {
			if got, err := netlab.In(h, func() (bool, error) { return askKernel(queue) }); got != want ||
				err != nil {
				t.Errorf("queue %d: %t, %v; want %t", queue, got, err, want)
			}
		}
	}
}

func send(t *testing.T, h *netlab.Host, address string, n int) {
	labtest.Must(t, h.Do(func() error { return sendUDP(address, n) }))
}
