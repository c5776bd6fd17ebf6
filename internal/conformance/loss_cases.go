// SPDX-License-Identifier: GPL-2.0-or-later

package conformance

import (
	"strings"

	"github.com/chifflier/nfqueue-go"
)

func testQueueFull(l lab) {
	q := l.open(nfqueue.Config{MaxLen: 3})
	l.send(names(8)...)
	if k := q.Stats().Kernel; k != nil && (k.Backlog != 3 || k.QueueDropped != 5 || k.LastID != 3) {
		l.Errorf("%+v", *k)
	}
	got := l.drain(q, always(nfqueue.Accept))
	l.wantReceived(names(3)...)
	if got.Received != 3 || got.Lost != 0 {
		l.Errorf("%+v", got)
	}
}

func testQueueFullFailOpen(l lab) {
	q := l.open(nfqueue.Config{MaxLen: 3, Flags: nfqueue.FailOpen})
	l.send(names(8)...)
	l.wantReceived(names(8)[3:]...)
	if k := q.Stats().Kernel; k != nil && (k.Backlog != 3 || k.QueueDropped != 0) {
		l.Errorf("%+v", *k)
	}
	l.drain(q, always(nfqueue.Drop))
	if n := l.Passed(); n != 5 {
		l.Errorf("%d have passed", n)
	}
}

// By default the receive buffer is as large as the queue is long.
func testBufferHoldsQueue(l lab) {
	const packets = 60
	full := strings.Repeat("x", 1472)
	for name, cfg := range map[string]nfqueue.Config{
		"meta":        {CopyMode: nfqueue.CopyMeta},
		"header":      {CopyRange: 128, Flags: nfqueue.NoGSO},
		"half a page": {CopyRange: 500, Flags: nfqueue.NoGSO},
		"frames":      {Flags: nfqueue.NoGSO},
	} {
		cfg.MaxLen = packets
		q := l.open(cfg)
		for range packets {
			l.send(full)
		}
		size := q.Stats().ReadBuffer
		if got := l.drain(q, always(nfqueue.Drop)); got.Received != packets || got.Lost != 0 {
			l.Errorf("%s: a buffer of %d bytes held %d of %d packets", name, size, got.Received, packets)
		}
	}
	l.wantReceived()
}

// overrun opens a queue with room for only a few packets, sends 40, and returns how many were
// queued.
func overrun(l lab, flags nfqueue.Flags) (q *nfqueue.Queue, room uint64) {
	q = l.open(nfqueue.Config{Flags: flags, ReadBuffer: 8192, CopyMode: nfqueue.CopyMeta})
	l.send(names(40)...)
	passed := l.Passed()
	got := l.drain(q, func(p *nfqueue.Packet) nfqueue.Verdict {
		room++
		if p.ID() != uint32(room) {
			l.Errorf("id %d is missing", room)
		}
		return nfqueue.Accept
	})
	if room == 0 || room >= 40 || got.Received != room {
		l.Errorf("%d of 40 found room: %+v", room, got)
	}
	if want := 40 - int(room); passed != want && passed != 0 {
		l.Errorf("%d have passed at once, want %d or none", passed, want)
	}
	return q, room
}

func testBufferFull(l lab) {
	_, room := overrun(l, 0)
	l.wantReceived(names(40)[:room]...)

	// The next packets show that the ids of the lost ones are missing.
	q := l.open(nfqueue.Config{ReadBuffer: 8192, CopyMode: nfqueue.CopyMeta})
	l.send(names(40)...)
	released := make(chan struct{})
	var last uint32
	s := l.serve(q, func(p *nfqueue.Packet) nfqueue.Verdict {
		if p.ID() == 1 {
			<-released
		}
		last = p.ID()
		return nfqueue.Accept
	})
	if k := q.Stats().Kernel; k != nil &&
		(k.LastID != 40 || k.UserDropped != uint32(40-room) || k.QueueDropped != 0 ||
			uint64(k.Backlog) != room) {
		l.Errorf("%+v", *k)
	}
	close(released)
	l.wantToCome(names(40)[:room]...)
	l.send("next")
	l.wantToCome("next")
	if got := s.stop(); last != 41 || got.Lost != 40-room {
		l.Errorf("last id %d: %+v", last, got)
	}
}

func testBufferFullFailOpen(l lab) {
	overrun(l, nfqueue.FailOpen)
	l.wantReceived(names(40)...)
}
