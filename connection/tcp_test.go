// SPDX-License-Identifier: GPL-2.0-or-later

package connection_test

import (
	"bytes"
	"strings"
	"testing"

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

// Where no SYN was seen, as after the connection was forgotten, the server's packets are not taken
// for those of the client: what the client says is held.
func TestMiddleOfServer(t *testing.T) {
	for name, first := range map[string][]byte{
		"acknowledgement": ends4.reply(0, ""),
		"earlier reset":   ends4.reverse().tcp("R", peerISN-5000, 0, ""),
		"SYN-ACK":         ends4.tcp("SA", isn, peerISN+1, ""), // of the client
	} {
		t.Run(name, func(t *testing.T) {
			middle := true
			l := newLab(t, connection.Config{Hold: true}, func(c *connection.Conn) connection.Answer {
				middle = middle && c.Middle()
				return line(c)
			})
			l.passes(first)
			l.held(ends4.data(0, "bad!\n"), ends4.ack())
			l.send(ends4.tcp("R", isn+6, 0, "")) // also ends what is held
			if !middle {
				t.Error("not in the middle")
			}
		})
	}
}

// The answer to a SYN tells who the client is, also behind a packet of an earlier connection.
func TestMiddleBehindReset(t *testing.T) {
	for text, passes := range map[string]bool{"good\n": true, "bad!\n": false} {
		e := ends4
		l := newLab(t, connection.Config{Hold: true}, line)
		l.passes(e.reverse().tcp("R", peerISN-5000, 0, ""))
		l.passes(e.reverse().tcp("SA", peerISN, isn+1, ""))
		if got := l.send(e.data(0, text)).Result().Passed; got != passes {
			t.Errorf("%q passes: %v", text, got)
		}
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
