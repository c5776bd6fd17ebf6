// SPDX-License-Identifier: GPL-2.0-or-later

package dump

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/packetview"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
)

// memory is an Output that remembers, and can be held up.
type memory struct {
	mu      sync.Mutex
	hold    chan struct{} // Write waits for it to be closed, if there is one
	holding chan struct{} // gets one when Write waits
	fail    error
	records []*packetview.Record
	flushed int
}

func (m *memory) Write(r *packetview.Record) error {
	if m.hold != nil {
		select {
		case m.holding <- struct{}{}:
		default:
		}
		<-m.hold
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.records = append(m.records, r)
	return m.fail
}

func (m *memory) Flush() error {
	m.flushed = len(m.records)
	return nil
}

func spec(body string) nfqueuetest.Spec {
	return nfqueuetest.Spec{
		Hook: nfqueue.HookOutput,
		Payload: nfqueuetest.UDP(netip.MustParseAddrPort("192.0.2.1:1"),
			netip.MustParseAddrPort("192.0.2.2:2"), []byte(body)),
	}
}

func bodies(records []*packetview.Record) string {
	var texts []string
	for _, r := range records {
		texts = append(texts, string(r.Data[28:]))
	}
	return strings.Join(texts, " ")
}

func TestDump(t *testing.T) {
	mark := uint32(5)
	var out memory
	d := New(Config{
		Verdict: nfqueue.Repeat, SetMark: &mark, Count: 3,
		Match: func(p *nfqueue.Packet) bool { return p.Payload()[p.FullLen()-1] != 'x' },
	}, &out)
	for i, body := range []string{"a", "x", "b", "c", "d", "x"} {
		result := nfqueuetest.Do(t, nfqueue.Config{}, d, spec(body))
		if result.Verdict != nfqueue.Repeat || result.Mark != mark {
			t.Errorf("packet %d: %+v", i, result)
		}
	}
	select {
	case <-d.Done():
	default:
		t.Error("not done")
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if got := bodies(out.records); got != "a b c" || out.flushed != 3 {
		t.Errorf("recorded %q, %d flushed", got, out.flushed)
	}
	for _, r := range out.records {
		if r.Verdict != nfqueue.Repeat || r.SetMark == nil || *r.SetMark != mark || r.Mark != 0 ||
			r.Out != "eth0" {
			t.Errorf("record %+v", r)
		}
	}
	if got, want := d.Counts(), (Counts{Seen: 6, Unmatched: 1, Shown: 3}); got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
}

// TestSlowOutput has an output that waits until far more packets have come than are kept.
func TestSlowOutput(t *testing.T) {
	out := memory{hold: make(chan struct{}), holding: make(chan struct{}, 1)}
	d := New(Config{Verdict: nfqueue.Accept}, &out)
	serve := func(body string) { // without a queue: a double for each packet would take long
		nfqueuetest.Do(t, nfqueue.Config{}, d, spec(body))
	}
	serve("first")
	<-out.holding
	p := packetOf(t, spec("many"))
	for range maxWaiting + 100 {
		if v := d.ServePacket(p); v != nfqueue.Accept {
			t.Fatal(v)
		}
	}
	if got, want := d.Counts(), (Counts{Seen: maxWaiting + 101, Shown: maxWaiting,
		Missed: 101}); got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
	close(out.hold)
	// What comes next says how many are missing, once there is room.
	for d.Counts().Shown == maxWaiting {
		d.ServePacket(p)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	last := out.records[maxWaiting]
	if c := d.Counts(); last.Missed != c.Missed || c.Missed < 101 ||
		len(out.records) != maxWaiting+1 {
		t.Errorf("%d packets are missing before the last of %d, want %+v", last.Missed, len(out.records),
			c)
	}
}

// packetOf returns the packet that a handler gets.
func packetOf(t *testing.T, s nfqueuetest.Spec) (p *nfqueue.Packet) {
	t.Helper()
	nfqueuetest.Do(
		t,
		nfqueue.Config{},
		nfqueue.HandlerFunc(func(q *nfqueue.Packet) nfqueue.Verdict {
			p = q.Clone()
			return nfqueue.Accept
		}),
		s,
	)
	return p
}

// TestManyBytes fills the buffer with few, large packets.
func TestManyBytes(t *testing.T) {
	out := memory{hold: make(chan struct{}), holding: make(chan struct{}, 1)}
	d := New(Config{Verdict: nfqueue.Accept}, &out)
	p := packetOf(t, spec(strings.Repeat("x", 60000)))
	d.ServePacket(p)
	<-out.holding
	for range 2000 { // 120 MB
		d.ServePacket(p)
	}
	kept := maxWaitingBytes / len(p.Payload())
	if got, want := d.Counts(), (Counts{Seen: 2001, Shown: uint64(kept),
		Missed: uint64(2001 - kept)}); got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
	close(out.hold)
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// TestStalledOutput has an output that never returns: Close ends nevertheless.
func TestStalledOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := memory{hold: make(chan struct{})}
		d := New(Config{Verdict: nfqueue.Accept}, &out)
		d.keep(&packetview.Record{Data: make([]byte, 28)})
		start := time.Now()
		if err := d.Close(); !errors.Is(err, ErrStalled) || time.Since(start) != patience {
			t.Errorf("error %v after %v", err, time.Since(start))
		}
		close(out.hold)
	})
}

// TestSlowButMoving has an output that takes longer than patience in all, and moves meanwhile.
func TestSlowButMoving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out slow
		d := New(Config{Verdict: nfqueue.Accept}, &out)
		for range 4 {
			d.keep(&packetview.Record{})
		}
		if err := d.Close(); err != nil || out != 4 {
			t.Errorf("error %v, %d written", err, out)
		}
	})
}

// slow takes most of patience for each packet.
type slow int

func (s *slow) Write(*packetview.Record) error {
	time.Sleep(patience * 3 / 4)
	*s++
	return nil
}

func (*slow) Flush() error { return nil }

func TestFailingOutput(t *testing.T) {
	errFull := errors.New("disk full")
	out := memory{fail: errFull}
	d := New(Config{Verdict: nfqueue.Accept}, &out)
	nfqueuetest.Do(t, nfqueue.Config{}, d, spec("a"))
	<-d.Done()
	for i := range 3 {
		nfqueuetest.Do(t, nfqueue.Config{}, d, spec(fmt.Sprint(i))) // has its verdict
	}
	if err := d.Close(); !errors.Is(err, errFull) {
		t.Errorf("error %v", err)
	}
	if len(out.records) != 1 {
		t.Errorf("%d records after the failure", len(out.records))
	}
}
