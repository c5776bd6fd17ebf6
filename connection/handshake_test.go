// SPDX-License-Identifier: GPL-2.0-or-later

package connection_test

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chifflier/nfqueue-go/connection"
)

// A SYN on the ports of a connection, whatever became of it, opens another; one that is
// sent again does not.
func TestPortsUsedAgain(t *testing.T) {
	e := ends4
	l := newLab(t, connection.Config{Hold: true}, line)
	l.open(e)
	l.passes(e.tcp("S", isn, 0, ""))
	half := l.held(e.data(0, "goo"), e.ack())
	l.passes(e.tcp("S", 500, 0, ""))
	if half.Result().Passed {
		t.Error("a part of the old connection passed")
	}
	l.passes(e.reverse().tcp("SA", 6, 501, ""))
	l.dropped(e.tcp("A", 501, 7, "bad\n"))
	l.passes(e.tcp("S", 900, 0, ""))
	l.passes(e.reverse().tcp("SA", 6, 901, ""))
	l.passes(e.tcp("A", 901, 7, "good\n"))
	l.passes(e.reverse().tcp("A", 7, 906, ""))
	l.passes(e.reverse().tcp("S", 1, 0, "")) // the other end opens one
	l.passes(e.tcp("SA", 77, 2, ""))
	l.dropped(e.reverse().tcp("A", 2, 78, "bad\n"))
	if s := l.Stats(); s.Opened != 4 || s.Fallback.Replaced != 1 || s.Conns != 1 {
		t.Errorf("%+v", s)
	}
}

// Both ends may send a SYN.
func TestSimultaneousOpen(t *testing.T) {
	e := ends4
	l := newLab(t, connection.Config{Hold: true}, line)
	l.passes(e.tcp("S", isn, 0, ""))
	l.passes(e.reverse().tcp("S", peerISN, 0, ""))
	l.passes(e.tcp("SA", isn, peerISN+1, ""))
	l.passes(e.reverse().tcp("SA", peerISN, isn+1, ""))
	l.passes(e.data(0, "good\n"))
	if s := l.Stats(); s.Opened != 1 || s.Accepted != 1 {
		t.Errorf("%+v", s)
	}
}

// A server takes no notice of a SYN in a connection that it has, and goes on with the sequence
// numbers of the first.
func TestSecondSYN(t *testing.T) {
	for name, prepare := range map[string]func(*lab, ends){
		"later, higher": func(l *lab, e ends) { l.open(e); l.passes(e.tcp("S", isn+1000, 0, "")) },
		"later, lower": func(l *lab, e ends) {
			l.open(e)
			l.passes(e.tcp("S", isn-5, 0, ""))
			l.dropped(e.data(-5, "good\n"))
		},
		"often": func(l *lab, e ends) {
			l.open(e)
			l.passes(e.tcp("S", isn-50, 0, ""))
			l.passes(e.tcp("S", isn-5, 0, ""))
			l.dropped(e.data(-5, "good\n"))
		},
		"before the answer to the first": func(l *lab, e ends) {
			l.passes(e.tcp("S", isn, 0, ""))
			l.passes(e.tcp("S", isn-5, 0, ""))
			l.passes(e.reverse().tcp("SA", peerISN, isn+1, ""))
			l.dropped(e.data(-5, "good\n"))
		},
		"behind a reset that the server ignores": func(l *lab, e ends) {
			l.open(e)
			l.held(e.data(0, "go"), e.ack())
			l.passes(e.tcp("R", isn+3, 0, ""))
			l.passes(e.tcp("S", isn-5, 0, ""))
			l.dropped(e.data(-5, "good\n"))
		},
		"after the answer": func(l *lab, e ends) {
			l.open(e)
			l.dropped(e.data(0, "bad\n"))
			l.passes(e.tcp("S", isn+1000, 0, ""))
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, connection.Config{Hold: true}, line)
			prepare(l, ends4)
			if r := l.send(ends4.data(0, "bad\n")).Result(); r.Passed &&
				bytes.Contains(r.Payload, []byte("bad")) {
				t.Error("passed")
			}
		})
	}
}

// A SYN that the server takes no notice of does not end an accepted connection. One that it
// acknowledges opens another. Until then no third one passes.
func TestSYNIntoAccepted(t *testing.T) {
	for name, e := range families {
		l := newLab(t, connection.Config{Hold: true, MaxPackets: 10}, line)
		l.open(e)
		l.passes(e.data(0, "good\n"))
		l.passes(e.tcp("A", isn+6, peerISN+1, ""))
		l.passes(e.reverse().tcp("A", peerISN+1, isn+6, ""))
		for i := range 20 {
			if i == 0 {
				l.passes(e.tcp("S", isn, 0, "")) // was sent again
			}
			l.passes(e.tcp("S", isn+5000, 0, ""))
			l.dropped(e.tcp("S", isn+5001+uint32(i), 0, ""))
			l.passes(e.tcp("S", isn, 0, "")) // is known too
			l.passes(e.tcp("S", isn+5000, 0, ""))
			l.passes(e.reverse().tcp("A", peerISN+1, isn+6, "")) // RFC 5961 section 4
			l.passes(e.data(5+i, "x"))
			l.passes(e.reverse().tcp("A", peerISN+1+uint32(i), isn+6, "y"))
		}
		for range 20 {
			l.passes(e.tcp("S", isn+5000, 0, ""))
			l.passes(e.data(25, "z"))
		}
		l.passes(e.reverse().tcp("SA", 50, isn+5001, ""))
		l.dropped(e.tcp("A", isn+5001, 51, "bad\n"))
		if s := l.Stats(); s.Accepted != 1 || s.Dropped != 1 || s.Ignored != 20 {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

// Whatever shows that the server knows of a SYN ends what was accepted before, also if its answer
// to the SYN is lost.
func TestSYNBehindAccepted(t *testing.T) {
	e := ends4
	for name, c := range map[string]struct {
		between, answer [][]byte
	}{
		"acknowledged": {nil, [][]byte{e.reverse().tcp("A", 51, isn+5001, "")}},
		"after another": {[][]byte{e.tcp("S", isn+9000, 0, "")},
			[][]byte{e.reverse().tcp("A", 51, isn+5001, "")}},
		"other answered": {[][]byte{e.tcp("S", isn+9000, 0, "")},
			[][]byte{e.reverse().tcp("SA", 50, isn+5001, "")}},
		"refused": {nil, [][]byte{e.reverse().tcp("RA", 0, isn+5001, "")}},
		"after a SYN of the server": {[][]byte{e.reverse().tcp("S", 5, 0, "")},
			[][]byte{e.reverse().tcp("SA", 50, isn+5001, "")}},
		"both ends": {[][]byte{e.reverse().tcp("S", 5, 0, "")},
			[][]byte{e.tcp("SA", isn+5000, 6, ""), e.reverse().tcp("SA", 5, isn+5001, "")}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, connection.Config{Hold: true, Timeout: 100 * time.Millisecond}, line)
			l.open(e)
			l.passes(e.data(0, "good\n"))
			l.passes(e.acknowledges(5))
			for _, p := range append(append([][]byte{e.tcp("S", isn+5000, 0, "")}, c.between...), c.answer...) {
				l.passes(p)
			}
			r := l.send(e.tcp("A", isn+5001, 51, "bad\n")).Result()
			if r.Passed && bytes.Contains(r.Payload, []byte("bad")) {
				t.Error("passed")
			}
		})
	}
}

// A client may give up a SYN that nobody answered, and send another.
func TestSYNInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ends4
		l := newLab(t, connection.Config{Hold: true}, line)
		l.open(e)
		l.passes(e.data(0, "good\n"))
		l.passes(e.acknowledges(5))
		l.passes(e.tcp("S", isn+5000, 0, ""))
		l.passes(e.tcp("S", isn+5500, 0, ""))
		l.dropped(e.tcp("S", isn+6000, 0, ""))
		time.Sleep(time.Minute)
		l.passes(e.tcp("S", isn+6000, 0, ""))
		l.passes(e.reverse().tcp("SA", 50, isn+6001, ""))
		l.dropped(e.tcp("A", isn+6001, 51, "bad\n"))
	})
}

// The client remains the one who is heard, whatever comes with the address of the server.
func TestSYNOfServer(t *testing.T) {
	for name, prepare := range map[string]func(*lab, ends){
		"later": func(l *lab, e ends) { l.open(e); l.passes(e.reverse().tcp("S", 5, 0, "")) },
		"first": func(l *lab, e ends) { l.passes(e.reverse().tcp("S", 5, 0, "")); l.open(e) },
		"ended": func(l *lab, e ends) {
			l.open(e)
			l.passes(e.tcp("R", isn+1, 0, ""))
			l.passes(e.reverse().tcp("S", 5, 0, ""))
		},
		"an acknowledgement first": func(l *lab, e ends) { l.passes(e.reverse().tcp("A", 5, 9, "")); l.open(e) },
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, connection.Config{Hold: true, Timeout: 100 * time.Millisecond}, line)
			prepare(l, ends4)
			if l.send(ends4.data(0, "bad\n")).Result().Passed {
				t.Error("passed")
			}
		})
	}
}
