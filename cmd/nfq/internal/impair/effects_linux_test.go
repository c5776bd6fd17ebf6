// SPDX-License-Identifier: GPL-2.0-or-later

package impair

import (
	"bytes"
	"math/bits"
	"slices"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
)

// body is what is sent to be damaged.
var body = []byte("what programs get to see of a packet")

// TestCorruptNoticed: the receiver discards a packet whose checksum does not fit.
func TestCorruptNoticed(t *testing.T) {
	labtest.NeedReplace(t)
	both(t, func(t *testing.T, l *link) {
		const n = 50
		s := begin(t, l.Client, "corrupt 100%", Config{Seed: 1}, "out udp dport 4000")
		before := l.checksumErrors(t)
		for i := range n {
			l.send(t, body[:20+i%10])
		}
		c := await(t, s, There, "verdict for each packet", func(c Counters) bool { return c.Passed == n })
		if c.Corrupted != n {
			t.Errorf("%d of %d corrupted", c.Corrupted, n)
		}
		labtest.Must(t, s.end())
		l.send(t, []byte("end"))
		// A flipped bit may be in a port or the length, for which there are other counters.
		if got := l.receive(t); string(got) != "end" {
			t.Errorf("%q arrived, want nothing damaged", got)
		}
		if after := l.checksumErrors(t); after-before < n/2 {
			t.Errorf("%d checksum errors for %d damaged packets", after-before, n)
		}
	})
}

// TestCorruptRepaired: the program gets data with one bit, or byte, that is wrong.
func TestCorruptRepaired(t *testing.T) {
	labtest.NeedReplace(t)
	both(t, func(t *testing.T, l *link) {
		for flip, settings := range map[Flip]string{
			FlipBit:  "corrupt 100% checksum repair",
			FlipByte: "corrupt 100% flip byte checksum repair",
		} {
			s := begin(t, l.Server, settings, Config{}, "in udp dport 4000")
			for range 20 {
				l.send(t, body)
				got := l.receive(t)
				if len(got) != len(body) {
					t.Fatalf("%q arrived", got)
				}
				bytesOff, bitsOff := 0, 0
				for i := range got {
					if x := got[i] ^ body[i]; x != 0 {
						bytesOff++
						bitsOff += bits.OnesCount8(x)
					}
				}
				if bytesOff != 1 || flip == FlipBit && bitsOff != 1 {
					t.Errorf("%s: %q arrived, %d bytes and %d bits are wrong", settings, got, bytesOff, bitsOff)
				}
			}
			labtest.Must(t, s.end())
		}
	})
}

// TestTruncate: a cut packet is discarded, or, repaired, is a shorter one.
func TestTruncate(t *testing.T) {
	labtest.NeedReplace(t)
	both(t, func(t *testing.T, l *link) {
		s := begin(t, l.Client, "truncate 100% truncate-to 60", Config{}, "out udp dport 4000")
		l.send(t, body)
		c := await(t, s, There, "verdict", func(c Counters) bool { return c.Passed == 1 })
		if c.Truncated != 1 || c.PassedBytes != 60 {
			t.Errorf("%+v", c)
		}
		labtest.Must(t, s.end())

		begin(t, l.Client, "truncate 100% truncate-to 60 checksum repair", Config{}, "out udp dport 4000")
		headers := 28
		if l.to.Addr().Is6() {
			headers = 48
		}
		l.send(t, body)
		if got, want := l.receive(t), body[:60-headers]; !bytes.Equal(got, want) {
			t.Errorf("%q arrived, want %q", got, want)
		}
	})
}

// TestBothWays: each direction has settings of its own.
func TestBothWays(t *testing.T) {
	both(t, func(t *testing.T, l *link) {
		const there, back = 30 * time.Millisecond, 50 * time.Millisecond
		var cfg Config
		cfg.Settings[Back] = Settings{Delay: back}
		cfg.Rules[Back] = parse(t, "in udp sport 4000")
		s := begin(t, l.Client, "delay "+there.String(), cfg, "out udp dport 4000")
		sent := time.Now()
		l.send(t, body)
		b := make([]byte, 100)
		_, from, err := l.server.ReadFromUDPAddrPort(b)
		labtest.Must(t, err)
		if d := time.Since(sent); d < there {
			t.Error("there within", d)
		}
		answered := time.Now()
		_, err = l.server.WriteToUDPAddrPort([]byte("answer"), from)
		labtest.Must(t, err)
		_, err = l.client.Read(b)
		labtest.Must(t, err)
		if d := time.Since(answered); d < back {
			t.Error("back within", d)
		}
		for _, way := range []Way{There, Back} { // a packet is counted after it has gone on
			c := await(t, s, way, "packet that passed", func(c Counters) bool { return c.Passed > 0 })
			if c.Packets != 1 || c.Passed != 1 {
				t.Errorf("%v: %+v", way, c)
			}
		}
	})
}

// TestReorder: the second packet overtakes the first, and free jitter mixes what kept order leaves
// alone.
func TestReorder(t *testing.T) {
	l := udpLink(t, labtest.Pair(t), false)
	s := begin(t, l.Client, "delay 200ms reorder 100% gap 2", Config{}, "out udp dport 4000")
	l.send(t, number(1, 16))
	l.send(t, number(2, 16))
	if got := l.receiveNumbers(t, 1); !slices.Equal(got, []int{2, 1}) {
		t.Error("arrived:", got)
	}
	labtest.Must(t, s.end())
	for settings, keeps := range map[string]bool{
		"delay 20ms jitter 20ms":            true,
		"delay 20ms jitter 20ms order free": false,
	} {
		s := begin(t, l.Client, settings, Config{Seed: 1}, "out udp dport 4000")
		const n = 100
		for i := range n {
			l.send(t, number(i, 16))
		}
		var got []int
		for range n {
			got = append(got, l.receiveNumber(t))
		}
		if slices.IsSorted(got) != keeps {
			t.Errorf("%s: arrived as %v", settings, got)
		}
		labtest.Must(t, s.end())
	}
}

// TestLimitAndEnd: the link has room for so many packets, and those go on when it ends.
func TestLimitAndEnd(t *testing.T) {
	l := udpLink(t, labtest.Pair(t), false)
	const n, room = 50, 10
	s := begin(t, l.Client, "delay 1h limit 10", Config{}, "out udp dport 4000")
	for i := range n {
		l.send(t, number(i, 16))
	}
	c := await(t, s, There, "decision for each", func(c Counters) bool { return c.Packets == n })
	if c.Full != n-room || c.Waiting != room {
		t.Errorf("%+v", c)
	}
	ending := time.Now()
	labtest.Must(t, s.end())
	if took := time.Since(ending); took >= 5*time.Second {
		t.Errorf("what waits is only let go after %v", took)
	}
	wantNoTables(t, l.Client)
	l.send(t, number(n, 16))
	got := l.receiveNumbers(t, n)
	if want := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, n}; !slices.Equal(got, want) {
		t.Errorf("arrived: %v, want %v", got, want)
	}
}

// TestSeed: the same seed loses the same packets.
func TestSeed(t *testing.T) {
	l := udpLink(t, labtest.Pair(t), false)
	run := func(seed uint64) []int {
		s := begin(t, l.Client, "loss 30% burst 2", Config{Seed: seed}, "out udp dport 4000")
		const n = 100
		for i := range n {
			l.send(t, number(i, 16))
		}
		await(t, s, There, "verdict for each", func(c Counters) bool { return c.Passed+c.Lost == n })
		labtest.Must(t, s.end())
		l.send(t, number(n, 16))
		return l.receiveNumbers(t, n)
	}
	first := run(5)
	if again := run(5); !slices.Equal(first, again) {
		t.Errorf("%v arrived, then %v", first, again)
	}
	if other := run(6); slices.Equal(first, other) {
		t.Error("another seed loses the same packets")
	}
}

// TestScheduleInTime: settings change when the schedule says so.
func TestScheduleInTime(t *testing.T) {
	l := udpLink(t, labtest.Pair(t), false)
	const first, second = 100 * time.Millisecond, 700 * time.Millisecond
	schedule := Schedule{
		{At: first, Ways: []Way{There, Back}, Settings: Settings{Loss: 1}},
		{At: second, Ways: []Way{There}, Settings: Settings{}},
	}
	s := begin(t, l.Client, "delay 1us", Config{Schedule: schedule}, "out udp dport 4000")
	l.send(t, number(1, 16))
	if got := l.receiveNumbers(t, 1); len(got) != 1 {
		t.Error("arrived:", got)
	}
	for s.Report()[There].Settings.Loss == 0 {
		time.Sleep(time.Millisecond)
	}
	if at := s.Elapsed(); at < first {
		t.Error("the first change comes at", at)
	}
	lost := uint64(0)
	for s.Report()[There].Settings != (Settings{}) {
		l.send(t, number(2, 16))
		lost = await(t, s, There, "verdict", func(c Counters) bool { return c.Waiting == 0 }).Lost
	}
	if at := s.Elapsed(); at < second {
		t.Error("the second change comes at", at)
	}
	l.send(t, number(3, 16))
	// What was sent as the settings changed may have passed.
	for got := 0; got != 3; {
		got = l.receiveNumber(t)
	}
	if lost == 0 {
		t.Error("nothing was lost in between")
	}
}

// TestQueueConfig: the queue has what all settings of a schedule need.
func TestQueueConfig(t *testing.T) {
	plain := queueConfig([]Settings{{Loss: 1, Limit: 5}, {Limit: 20}})
	if plain.Flags&nfqueue.NoGSO == 0 || plain.CopyRange != headersOnly ||
		plain.MaxLen != unread+20 ||
		plain.Fallback != nfqueue.Accept {
		t.Errorf("%+v", plain)
	}
	if altering := queueConfig([]Settings{{}, {Corrupt: 0.1}}); altering.CopyRange != nfqueue.MaxPayload ||
		altering.MaxLen != unread+DefaultLimit {
		t.Errorf("%+v", altering)
	}
}
