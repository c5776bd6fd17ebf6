// SPDX-License-Identifier: GPL-2.0-or-later

package connection_test

import (
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/connection"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
)

func more(*connection.Conn) connection.Answer { return connection.More }

// fallback returns the sum of all reasons, so that a test sees that there are no others.
func fallback(f connection.FallbackStats) uint64 {
	return f.Bytes + f.Packets + f.Time + f.Conns + f.Memory + f.Held + f.Ended + f.Replaced + f.Panic
}

func TestMaxBytes(t *testing.T) {
	e := ends4
	for _, fall := range []connection.Answer{connection.Drop, connection.Accept} {
		l := newLab(t, connection.Config{Hold: true, MaxBytes: 8, Fallback: fall}, more)
		l.open(e)
		one := l.held(e.data(0, "1234"), e.ack())
		ahead := l.held(e.data(8, "too far to be seen"), e.ack())
		last := l.send(e.data(4, "5678"))
		for _, f := range []*nfqueuetest.Flight{one, ahead, last} {
			if f.Result().Passed != (fall == connection.Accept) {
				t.Errorf("fallback %v: passed %v", fall, f.Result().Passed)
			}
		}
		if s := l.Stats(); s.Fallback.Bytes != 1 || fallback(s.Fallback) != 1 {
			t.Errorf("%+v", s)
		}
	}
}

func TestMaxPackets(t *testing.T) {
	e := ends4
	l := newLab(t, connection.Config{Hold: true, MaxPackets: 6}, more)
	l.open(e)
	one := l.held(e.data(0, "1"), e.ack())
	l.dropped(e.data(1, "2"))
	if s := l.Stats(); one.Result().Passed || s.Fallback.Packets != 1 || fallback(s.Fallback) != 1 {
		t.Errorf("%+v", s)
	}
}

// The time ends while no packet comes, for packets that are held, and with the next packet
// for others.
func TestTimeout(t *testing.T) {
	for _, hold := range []bool{true, false} {
		t.Run(fmt.Sprint("hold ", hold), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := ends4
				l := newLab(t, connection.Config{Hold: hold, Timeout: 3 * time.Second,
					Fallback: connection.Drop}, more)
				l.open(e)
				start := time.Now()
				one := l.send(e.data(0, "1"))
				if hold {
					if one.Result().Passed || time.Since(start) != 3*time.Second {
						t.Errorf("passed %v after %v", one.Result().Passed, time.Since(start))
					}
				} else {
					if !one.Result().Passed {
						t.Error("dropped")
					}
					time.Sleep(3 * time.Second)
				}
				l.dropped(e.data(1, "2"))
				if s := l.Stats(); s.Fallback.Time != 1 || fallback(s.Fallback) != 1 || s.Held != 0 ||
					s.Memory != 0 || s.Undecided != 0 {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

// Each of many connections has its own time.
func TestTimeoutOfMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, connection.Config{Hold: true, Timeout: 10 * time.Second}, line)
		var flights []*nfqueuetest.Flight
		for i := range 10 {
			e := ends4.port(4000 + i)
			l.open(e)
			flights = append(flights, l.held(e.data(0, "goo"), e.ack()))
			time.Sleep(2 * time.Second)
			if i == 3 {
				l.passes(e.data(3, "d\n"))
			}
		}
		time.Sleep(time.Second) // 21 seconds since the first
		for i, f := range flights {
			select {
			case <-f.Done():
				if f.Result().Passed != (i == 3) || i > 5 {
					t.Errorf("%d: passed %v", i, f.Result().Passed)
				}
			default:
				if i <= 5 {
					t.Errorf("%d is held", i)
				}
			}
		}
		time.Sleep(10 * time.Second)
		if s := l.Stats(); s.Held != 0 || s.Fallback.Time != 9 || s.Undecided != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// A flood of SYN costs no connection that is further.
func TestFloodOfSYN(t *testing.T) {
	e := ends4
	l := newLab(t, connection.Config{Hold: true, MaxConns: 100}, line)
	l.open(e)
	one := l.held(e.data(0, "go"), e.ack())
	other := e.port(4001)
	l.open(other)
	l.passes(other.data(0, "good\n"))
	for i := range 1000 {
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)}), 9)
		l.passes(ends{client: from, server: e.server}.tcp("S", 1, 0, ""))
	}
	l.passes(e.data(2, "od\n"))
	if !one.Result().Passed {
		t.Error("dropped")
	}
	l.passes(other.data(5, "more"))
	if s := l.Stats(); s.Conns != 100 || s.Opened != 1002 || s.Forgotten != 902 ||
		s.Fallback.Conns != 902 || fallback(s.Fallback) != 902 {
		t.Errorf("%+v", s)
	}
}

// A flood of requests that are never finished is bounded by the connections, by the bytes
// and by the packets that are held.
func TestFloodOfHalfRequests(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  connection.Config
		left func(connection.Stats) bool
	}{
		"connections": {connection.Config{MaxConns: 50}, func(s connection.Stats) bool {
			return s.Conns == 50 && s.Held == 50 && s.Fallback.Conns == 250 && s.Forgotten == 250
		}},
		"bytes": {connection.Config{MaxMemory: 10 << 10}, func(s connection.Stats) bool {
			return s.Conns == 300 && s.Memory <= 10<<10 && s.Held <= 10 && s.Held >= 5 &&
				s.Fallback.Memory == uint64(300-s.Held)
		}},
		"held packets": {connection.Config{MaxHeld: 20}, func(s connection.Stats) bool {
			return s.Conns == 300 && s.Held == 20 && s.Fallback.Held == 280
		}},
	} {
		t.Run(name, func(t *testing.T) {
			c.cfg.Hold = true
			l := newLab(t, c.cfg, line)
			var flights []*nfqueuetest.Flight
			for i := range 300 {
				e := ends4.port(1000 + i)
				l.open(e)
				flights = append(flights, l.held(e.data(0, "go"+strings.Repeat("o", 1000)), e.ack()))
			}
			s := l.Stats()
			if !c.left(s) || fallback(s.Fallback) != uint64(300-s.Held) {
				t.Errorf("%+v", s)
			}
			for i, f := range flights {
				select {
				case <-f.Done():
					if f.Result().Passed || i >= 300-int(s.Held) {
						t.Errorf("%d: passed %v", i, f.Result().Passed)
					}
				default:
				}
			}
			last := ends4.port(1299)
			l.dropped(last.data(1002, "\n")) // also ends the others at the end of the test
			for i := range 300 {
				l.send(ends4.port(1000+i).tcp("R", isn+1003, 0, ""))
			}
		})
	}
}

// A connection without packets is forgotten.
func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ends4
		l := newLab(t, connection.Config{}, line)
		opened := func(n uint64, conns int64) {
			t.Helper()
			if s := l.Stats(); s.Opened != n || s.Conns != conns {
				t.Errorf("%+v, want %d opened and %d left", s, n, conns)
			}
		}
		l.passes(e.tcp("S", isn, 0, "")) // no more
		l.open(e.port(4001))             // no data
		l.open(e.port(4002))
		l.passes(e.port(4002).data(0, "good\n"))
		l.open(e.port(4003))
		l.passes(e.port(4003).data(0, "good\n"))
		l.passes(e.port(4003).tcp("R", isn+6, 0, ""))
		l.passes(e.udp("good\n"))
		opened(5, 5)
		time.Sleep(11 * time.Second)
		l.passes(e.udp("more"))
		opened(5, 4) // what was reset is forgotten
		time.Sleep(55 * time.Second)
		l.passes(e.udp("more"))
		opened(5, 3)
		time.Sleep(connection.DefaultDatagramTimeout)
		l.passes(e.udp("good\n")) // another conversation
		opened(6, 3)
		time.Sleep(2 * time.Hour)
		l.passes(e.port(4002).data(5, "more"))
		opened(6, 2)
		time.Sleep(5 * time.Minute)
		l.passes(e.udp("good\n"))
		opened(7, 2)
	})
}

// The packet, and what is held of its connection, get the Fallback when the handler panics.
func TestPanic(t *testing.T) {
	e := ends4
	k := nfqueuetest.NewKernel(t)
	tr := connection.New(connection.Config{Hold: true},
		connection.HandlerFunc(func(c *connection.Conn) connection.Answer {
			if len(c.Bytes(connection.Original)) > 2 {
				panic("of the handler")
			}
			return connection.More
		}))
	var panics atomic.Int32
	l := &lab{t, k, tr}
	k.Serve(nfqueue.Config{OnPanic: func(*nfqueue.PanicError) { panics.Add(1) }}, tr)
	l.open(e)
	one := l.held(e.data(0, "12"), e.ack())
	l.dropped(e.data(2, "3"))
	if one.Result().Passed {
		t.Error("passed")
	}
	l.dropped(e.data(3, "4"))
	if s := l.Stats(); s.Fallback.Panic != 1 || fallback(s.Fallback) != 1 || panics.Load() != 1 {
		t.Errorf("%+v, %d panics", s, panics.Load())
	}
}

func TestHandlerRefused(t *testing.T) {
	defer func() {
		if s := fmt.Sprint(recover()); !strings.Contains(s, "Handler is nil") {
			t.Errorf("%q", s)
		}
	}()
	connection.New(connection.Config{}, nil)
}

func TestConfigRefused(t *testing.T) {
	for _, c := range []struct {
		cfg  connection.Config
		word string
	}{
		{connection.Config{Fallback: 9}, "Fallback is answer 9"},
		{connection.Config{MaxBytes: -1}, "MaxBytes is -1"},
		{connection.Config{Timeout: -1}, "Timeout is -1ns"},
	} {
		func() {
			defer func() {
				if s := fmt.Sprint(recover()); !strings.Contains(s, c.word) {
					t.Errorf("%q, want %q", s, c.word)
				}
			}()
			connection.New(c.cfg, connection.HandlerFunc(more))
		}()
	}
}
