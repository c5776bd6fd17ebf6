// SPDX-License-Identifier: GPL-2.0-or-later

package queue_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
)

// TestLiveChanges changes a queue while it is served and packets arrive.
func TestLiveChanges(t *testing.T) {
	lab := queuelab.NewVerdictLab(t, netlab.IP, queuelab.Localhost)
	queuelab.QueueUDP(t, lab.Queueing, netlab.Queue{Num: 1})
	lengths := make(chan [2]int, 1)
	q := queuelab.Serve(t, lab.Host, nfqueue.Config{Queue: 1},
		func(p *nfqueue.Packet) nfqueue.Verdict {
			lengths <- [2]int{len(p.Payload()), p.FullLen()}
			return nfqueue.Accept
		})
	const text = "a text of thirty-two characters."
	try := func(want [2]int) {
		t.Helper()
		lab.In(text)
		lab.Out(t, text)
		if got := queuelab.WaitFor(t, lengths); got != want {
			t.Errorf("lengths %v, want %v", got, want)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	try([2]int{60, 60})
	must(q.SetCopy(nfqueue.CopyPacket, 40))
	try([2]int{40, 60})
	must(q.SetCopy(nfqueue.CopyMeta, 0))
	try([2]int{0, 0})
	must(q.SetCopy(nfqueue.CopyPacket, 0))
	try([2]int{60, 60})
	// No packet is queued any more; all pass.
	must(q.SetFlags(nfqueue.FailOpen, nfqueue.FailOpen))
	must(q.SetMaxLen(nfqueue.MaxLenNone))
	lab.In("passes by")
	lab.Out(t, "passes by")
	must(q.SetMaxLen(10))
	try([2]int{60, 60})
	if granted, err := q.SetReadBuffer(64 << 10); err != nil || granted != 64<<10 {
		t.Errorf("SetReadBuffer: %d, %v", granted, err)
	}
	if got := q.Stats().ReadBuffer; got != 64<<10 {
		t.Errorf("receive buffer of %d bytes", got)
	}
	for what, err := range map[string]error{
		"unknown bits": q.SetFlags(0x20, 0x20),
		"copy mode":    q.SetCopy(7, 0),
	} {
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if s := q.Stats(); s.Received != 5 || s.Lost != 0 {
		t.Errorf("%+v", s)
	}
}

// TestLiveChangesWithoutServe: packets that arrive with the reply are kept.
func TestLiveChangesWithoutServe(t *testing.T) {
	lab := queuelab.NewVerdictLab(t, netlab.IP, queuelab.Localhost)
	q := queued(t, lab, 100, nfqueue.Config{Queue: 1})
	if err := q.SetMaxLen(2000); err != nil {
		t.Fatal(err)
	}
	lab.In("behind")
	queuelab.ServeOpen(t, q, func(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Accept })
	for i := range 100 {
		lab.Out(t, fmt.Sprint(i))
	}
	lab.Out(t, "behind")
}

// TestLiveChangesUnderLoad changes the length again and again while packets arrive at full speed:
// every reply is matched with its request.
func TestLiveChangesUnderLoad(t *testing.T) {
	lab := queuelab.NewVerdictLab(t, netlab.IP, queuelab.Localhost)
	queuelab.QueueUDP(t, lab.Queueing, netlab.Queue{Num: 1})
	q := queuelab.Serve(t, lab.Host, nfqueue.Config{Queue: 1},
		func(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Accept })
	changed := make(chan error, 1)
	go func() {
		for i := range uint32(200) {
			if err := q.SetMaxLen(1000 + i); err != nil {
				changed <- err
				return
			}
		}
		changed <- nil
	}()
	for i := range 2000 {
		lab.In(fmt.Sprint(i))
		lab.Out(t, fmt.Sprint(i))
	}
	if err := queuelab.WaitFor(t, changed); err != nil {
		t.Error(err)
	}
}
