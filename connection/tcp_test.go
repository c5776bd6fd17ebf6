// SPDX-License-Identifier: GPL-2.0-or-later

package connection_test

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chifflier/nfqueue-go/connection"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
)

var families = map[string]ends{"IPv4": ends4, "IPv6": ends6,
	"IPv6 options": {ends6.client, ends6.server, true}}

// Nothing that the client says passes before the answer, and then all of it in order.
func TestHeldUntilAccepted(t *testing.T) {
	for name, e := range families {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, connection.Config{Hold: true}, line)
			l.open(e)
			one := l.held(e.data(0, "go"), e.ack())
			l.passes(e.reply(0, "hello"))
			two := l.send(e.data(2, "od\n"))
			first, second := one.Result(), two.Result()
			if !first.Passed || !second.Passed {
				t.Errorf("%v, %v", first.Verdict, second.Verdict)
			}
			l.passes(e.data(5, "and so on"))
			l.passes(e.reverse().tcp("A", peerISN+6, isn+6, ""))
			l.passes(e.tcp("A", isn+15, peerISN+6, ""))
			if s := l.Stats(); s.Opened != 1 || s.Accepted != 1 || s.Held != 0 || s.Memory != 0 ||
				s.Undecided != 0 || s.Conns != 1 {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestHeldAndDropped(t *testing.T) {
	for name, e := range families {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, connection.Config{Hold: true}, line)
			l.open(e)
			one := l.held(e.data(2, "d\n"), e.ack())
			l.dropped(e.data(0, "ba"))
			if one.Result().Passed {
				t.Error("a held packet passed")
			}
			l.dropped(e.data(0, "bad\n"))
			l.dropped(e.reply(0, "hello"))
			// The ports are used again.
			l.passes(e.tcp("S", 99, 0, ""))
			l.passes(e.reverse().tcp("SA", 4, 100, ""))
			l.passes(e.tcp("A", 100, 5, "good\n"))
			l.passes(e.reverse().tcp("A", 5, 105, "fine"))
		})
	}
}

// A byte is what its first copy was.
func TestConflict(t *testing.T) {
	for name, hold := range map[string]bool{"held": true, "passing": false} {
		t.Run(name, func(t *testing.T) {
			var conflicts int
			l := newLab(t, connection.Config{Hold: hold}, func(c *connection.Conn) connection.Answer {
				if c.News()&connection.Conflict != 0 {
					conflicts++
				}
				return line(c)
			})
			e := ends4
			l.open(e)
			var first *nfqueuetest.Flight
			if hold {
				first = l.held(e.data(2, "od\n"), e.ack())
			} else {
				first = l.send(e.data(2, "od\n"))
			}
			l.dropped(e.data(0, "baXX"))
			l.passes(e.data(0, "good\n"))
			if !first.Result().Passed {
				t.Error("the first copy was dropped")
			}
			if s := l.Stats(); conflicts != 1 || s.Conflicts != 1 || s.Accepted != 1 {
				t.Errorf("%d conflicts, %+v", conflicts, s)
			}
		})
	}
}

// The same bytes again are not held twice.
func TestRepeated(t *testing.T) {
	e := ends4
	l := newLab(t, connection.Config{Hold: true}, line)
	l.open(e)
	first := l.held(e.data(0, "go"), e.ack())
	l.dropped(e.data(0, "go"))
	l.dropped(e.data(1, "o"))
	more := l.held(e.data(0, "goo"), e.ack()) // with another segmentation
	l.passes(e.data(3, "d\n"))
	if !first.Result().Passed || !more.Result().Passed || l.Stats().Repeated != 2 {
		t.Errorf("%+v", l.Stats())
	}
}

// Keep-alives repeat the last byte, or another one, or none.
func TestKeepAlive(t *testing.T) {
	e := ends4
	l := newLab(t, connection.Config{Hold: true}, line)
	l.open(e)
	l.passes(e.data(-1, ""))
	l.passes(e.data(-1, "x"))
	first := l.held(e.data(0, "go"), e.ack())
	l.passes(e.data(1, ""))
	l.dropped(e.data(1, "x")) // the server would take it for the byte
	l.passes(e.data(2, "od\n"))
	l.passes(e.reverse().tcp("A", peerISN+1, isn+6, ""))
	l.passes(e.data(4, "x"))
	if !first.Result().Passed || l.Stats().Conflicts != 1 {
		t.Errorf("%+v", l.Stats())
	}
}

// Data in a SYN is taken out: a server that does not know Fast Open ignores it, and a client
// could then send something else. Data without an ACK is ignored by every server.
func TestDataInSYN(t *testing.T) {
	for name, e := range families {
		for _, hold := range []bool{true, false} {
			l := newLab(t, connection.Config{Hold: hold}, line)
			for range 2 {
				r := l.send(e.tcp("S", isn, 0, "good\n")).Result()
				if want := e.tcp("S", isn, 0, ""); !r.Passed || !bytes.Equal(r.Payload, want) {
					t.Errorf("%s: passed %v as\n%x, want\n%x", name, r.Passed, r.Payload, want)
				}
			}
			l.passes(e.reverse().tcp("SA", peerISN, isn+1, ""))
			l.dropped(e.tcp("", isn+1, 0, "good\n"))
			l.dropped(e.tcp("SA", isn, peerISN+1, "good\n"))
			l.dropped(e.data(0, "bad\n"))
			if s := l.Stats(); s.Stripped != 2 || s.Ignored != 2 || s.Dropped != 1 || s.Opened != 1 {
				t.Errorf("%s: %+v", name, s)
			}
		}
	}
}

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

// A connection whose beginning was not seen starts with the first data.
func TestMiddle(t *testing.T) {
	e := ends4
	middle := 0
	l := newLab(t, connection.Config{Hold: true}, func(c *connection.Conn) connection.Answer {
		if c.Middle() {
			middle++
		}
		return line(c)
	})
	l.passes(e.data(-1, "")) // a keep-alive
	one := l.held(e.data(2, "od"), e.ack())
	before := l.held(e.data(-2, "??go"), e.ack()) // nobody knows what it is
	l.dropped(e.data(4, "bad\n"))
	if one.Result().Passed || before.Result().Passed || middle == 0 {
		t.Errorf("passed, or not in the middle (%d)", middle)
	}

	// The first packet is the answer to a SYN that was not seen.
	e = e.port(4001)
	l.passes(e.reverse().tcp("SA", peerISN, isn+1, ""))
	late := l.held(e.data(1, "ood\n"), e.ack())
	l.passes(e.data(0, "g"))
	if !late.Result().Passed {
		t.Error("dropped")
	}
}

// The rule may queue one direction only.
func TestOneDirection(t *testing.T) {
	e := ends4
	l := newLab(t, connection.Config{Hold: true, OneWay: true}, line)
	l.passes(e.tcp("S", isn, 0, ""))
	l.passes(e.ack())
	late := l.held(e.data(3, "d\n"), e.ack())
	l.passes(e.data(0, "goo"))
	if !late.Result().Passed {
		t.Error("dropped")
	}

	var seen string
	l = newLab(t, connection.Config{}, func(c *connection.Conn) connection.Answer {
		seen = string(c.Bytes(connection.Reply))
		return connection.More
	})
	l.passes(e.reverse().tcp("SA", 9, 5, ""))
	l.passes(e.reverse().tcp("A", 14, 5, "mail"))
	l.passes(e.reverse().tcp("A", 10, 5, "220 "))
	if seen != "220 mail" {
		t.Errorf("%q", seen)
	}
}

// A reset ends a connection only where its receiver would believe it.
func TestReset(t *testing.T) {
	e := ends4
	l := newLab(t, connection.Config{Hold: true}, line)
	l.open(e)
	one := l.held(e.data(0, "go"), e.ack())
	l.passes(e.tcp("R", isn+100, 0, ""))
	l.passes(e.data(2, "od\n"))
	if !one.Result().Passed {
		t.Error("a reset that is not in order ended the connection")
	}
	e = e.port(4001)
	l.open(e)
	one = l.held(e.data(0, "go"), e.ack())
	l.passes(e.tcp("R", isn+3, 0, ""))
	if one.Result().Passed {
		t.Error("passed")
	}
	l.dropped(e.data(2, "od\n"))
	if s := l.Stats(); s.Fallback.Ended != 1 {
		t.Errorf("%+v", s)
	}
	// A closed port.
	e = e.port(4002)
	l.passes(e.tcp("S", isn, 0, ""))
	l.passes(e.reverse().tcp("RA", 0, isn+1, ""))
	l.passes(e.tcp("S", isn+50, 0, ""))
	if s := l.Stats(); s.Fallback.Ended != 2 || s.Opened != 4 {
		t.Errorf("%+v", s)
	}
}

// The end of what is said is news, and the end of the wait for more.
func TestFIN(t *testing.T) {
	e := ends4
	finished := false
	l := newLab(t, connection.Config{Hold: true}, func(c *connection.Conn) connection.Answer {
		finished = c.Finished(connection.Original)
		if finished && string(c.Bytes(connection.Original)) == "good" {
			return connection.Accept
		}
		return line(c)
	})
	l.open(e)
	fin := l.held(e.tcp("FA", isn+5, peerISN+1, ""), e.ack()) // before the data
	l.passes(e.data(0, "good"))
	if !fin.Result().Passed || !finished {
		t.Errorf("passed %v, finished %v", fin.Result().Passed, finished)
	}

	e = e.port(4001)
	l.open(e)
	one := l.held(e.data(0, "go"), e.ack())
	l.passes(e.reverse().tcp("FA", peerISN+1, isn+1, ""))
	l.dropped(e.tcp("FA", isn+3, peerISN+2, "o"))
	if one.Result().Passed {
		t.Error("passed")
	}

	e = e.port(4002) // nothing is said at all
	l.open(e)
	l.passes(e.tcp("FA", isn+1, peerISN+1, ""))
	l.passes(e.reverse().tcp("FA", peerISN+1, isn+2, ""))
	l.passes(e.tcp("A", isn+2, peerISN+2, ""))
	if s := l.Stats(); s.Fallback.Ended != 2 {
		t.Errorf("%+v", s)
	}
}

// A packet as large as segmentation offload makes them is one segment.
func TestSuperPacket(t *testing.T) {
	e := ends4
	for _, c := range []struct {
		body string
		pass bool
	}{
		{"good\n" + strings.Repeat("x", 60000), true},
		{"bad\n" + strings.Repeat("x", 60000), false},
		{strings.Repeat("x", 60000), false}, // no line within MaxBytes
	} {
		l := newLab(t, connection.Config{Hold: true}, line)
		l.open(e)
		if r := l.send(e.data(0, c.body)).Result(); r.Passed != c.pass {
			t.Errorf("%.5q: passed %v", c.body, r.Passed)
		}
	}
}

// A FIN without an ACK, or in a SYN, ends nothing: every server ignores it.
func TestIgnoredFIN(t *testing.T) {
	for _, flags := range []string{"F", "SF"} {
		l := newLab(t, connection.Config{Hold: true}, func(c *connection.Conn) connection.Answer {
			if c.Finished(connection.Original) {
				t.Errorf("%s: finished", flags)
				return connection.Accept
			}
			return line(c)
		})
		e := ends4
		if flags == "SF" {
			l.passes(e.tcp(flags, isn, 0, ""))
		}
		l.open(e)
		if flags == "F" {
			l.dropped(e.tcp(flags, isn+1, 0, ""))
		}
		l.dropped(e.data(0, "bad\n"))
	}
}

// Urgent data is made ordinary data, also if the pointer comes before it.
func TestUrgent(t *testing.T) {
	for name, e := range families {
		l := newLab(t, connection.Config{Hold: true}, line)
		l.open(e)
		for _, body := range []string{"", "good\n"} {
			want := e.data(0, body)
			p := bytes.Clone(want)
			header := p[len(p)-len(body)-20:]
			header[13] |= byte(nfqueuetest.URG)
			header[19] = 3
			if r := l.send(p).Result(); !r.Passed || !bytes.Equal(r.Payload, want) {
				t.Errorf("%s: passed %v as\n%x, want\n%x", name, r.Passed, r.Payload, want)
			}
		}
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

// What is not data of the connection has no data when it passes.
func TestDataInReset(t *testing.T) {
	l := newLab(t, connection.Config{Hold: true}, line)
	e := ends4
	l.open(e)
	r := l.send(e.tcp("RA", isn+50, peerISN+1, "bad\n")).Result()
	if want := e.tcp("RA", isn+50, peerISN+1, ""); !r.Passed || !bytes.Equal(r.Payload, want) {
		t.Errorf("passed %v as\n%x, want\n%x", r.Passed, r.Payload, want)
	}
}
