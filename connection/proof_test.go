// SPDX-License-Identifier: GPL-2.0-or-later

package connection_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/connection"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
)

// acknowledges makes the server acknowledge so many bytes of the client.
func (e ends) acknowledges(n int) []byte {
	return e.reverse().tcp("A", peerISN+1, isn+1+uint32(n), "")
}

// Until the server has acknowledged what a connection is accepted on, nothing that differs
// passes.
func TestUnproven(t *testing.T) {
	for name, hold := range map[string]bool{"held": true, "passing": false} {
		t.Run(name, func(t *testing.T) {
			e := ends4
			l := newLab(t, connection.Config{Hold: hold}, line)
			l.open(e)
			l.passes(e.data(0, "good\nmore"))
			l.dropped(e.data(0, "bad!\n"))
			l.dropped(e.data(3, "D"))
			l.dropped(e.data(8, "E-"))
			l.dropped(e.tcp("", isn+1, 0, "good\n"))
			l.dropped(e.tcp("FA", isn+3, peerISN+1, ""))
			l.passes(e.data(0, "good\n")) // sent again
			l.passes(e.data(5, "more and"))
			l.passes(e.data(50, "ahead"))
			l.passes(e.acknowledges(8)) // all but one byte
			l.dropped(e.data(8, "E"))
			urgent := e.data(8, "e")
			want := bytes.Clone(urgent)
			urgent[33] |= byte(nfqueuetest.URG)
			urgent[39] = 1
			if r := l.send(urgent).Result(); !bytes.Equal(r.Payload, want) {
				t.Errorf("passed as\n%x, want\n%x", r.Payload, want)
			}
			l.passes(e.acknowledges(9))
			l.passes(e.data(8, "E"))
			if s := l.Stats(); s.Conflicts != 5 || s.Accepted != 1 || s.Memory != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// A direction that has ended has no more bytes, and does not end twice.
func TestBytesBehindFIN(t *testing.T) {
	e := ends4
	l := newLab(t, connection.Config{Hold: true}, func(c *connection.Conn) connection.Answer {
		if c.Finished(connection.Original) {
			return connection.Accept
		}
		return connection.More
	})
	l.open(e)
	fin := l.held(e.tcp("FA", isn+5, peerISN+1, ""), e.ack())
	l.dropped(e.data(4, "x"))
	l.dropped(e.tcp("FA", isn+7, peerISN+1, ""))
	l.passes(e.data(0, "good"))
	if !fin.Result().Passed {
		t.Error("dropped")
	}
	l.passes(e.acknowledges(4))
	l.dropped(e.data(4, "x")) // the end itself is not acknowledged
	l.passes(e.acknowledges(5))
	l.passes(e.data(4, "x"))
	if s := l.Stats(); s.Conflicts != 3 || s.Accepted != 1 {
		t.Errorf("%+v", s)
	}
}

// A client may end what it says before its request is acknowledged, and sends both again if the
// request is lost behind the queue.
func TestFINBehindUnproven(t *testing.T) {
	for _, hold := range []bool{true, false} {
		e := ends4
		l := newLab(t, connection.Config{Hold: hold}, line)
		l.open(e)
		l.passes(e.data(0, "good\n"))
		l.passes(e.data(5, "more"))
		l.passes(e.tcp("FA", isn+10, peerISN+1, ""))
		l.passes(e.data(0, "good\n"))
		l.passes(e.tcp("FA", isn+1, peerISN+1, "good\nmore"))
		l.dropped(e.data(9, "x"))
		l.dropped(e.tcp("FA", isn+9, peerISN+1, ""))
		l.passes(e.acknowledges(10))
		if s := l.Stats(); s.Conflicts != 2 || s.Memory != 0 {
			t.Errorf("hold %v: %+v", hold, s)
		}
	}
}

// A reset that the receiver ignores costs an accepted connection nothing, also if a SYN follows.
func TestIgnoredReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ends4
		l := newLab(t, connection.Config{Hold: true}, line)
		same := func(packet []byte) {
			t.Helper()
			if r := l.send(packet).Result(); !r.Passed || !bytes.Equal(r.Payload, packet) {
				t.Errorf("passed %v as\n%x, want\n%x", r.Passed, r.Payload, packet)
			}
		}
		l.open(e)
		l.passes(e.data(0, "good\n"))
		l.passes(e.tcp("R", isn+5000, 0, ""))
		l.passes(e.reverse().tcp("R", peerISN+5000, 0, ""))
		same(e.data(0, "good\n"))
		l.passes(e.acknowledges(5))
		l.passes(e.tcp("R", isn+5000, 0, ""))
		l.passes(e.acknowledges(5))
		time.Sleep(time.Hour) // the server has gone on
		same(e.data(5, "more"))
		l.passes(e.tcp("R", isn+5000, 0, ""))
		l.passes(e.tcp("S", isn+5000, 0, ""))
		time.Sleep(time.Hour)
		same(e.data(9, "and more"))
		if s := l.Stats(); s.Accepted != 1 || s.Opened != 2 {
			t.Errorf("%+v", s)
		}
	})
}

// What waits for an acknowledgement makes room first. Segments with bytes that are not kept any
// more are dropped, others pass.
func TestUnprovenMemory(t *testing.T) {
	e := ends4
	l := newLab(t, connection.Config{Hold: true, MaxMemory: 4 << 10}, line)
	l.open(e)
	l.passes(e.data(0, "good\n"))
	other := e.port(4001)
	l.open(other)
	half := l.held(other.data(0, "go"), other.ack())
	for i := range 10 {
		e := e.port(5000 + i)
		l.open(e)
		l.passes(e.data(0, "good\n"+strings.Repeat("x", 1000)))
	}
	if s := l.Stats(); s.Memory > 4<<10 || fallback(s.Fallback) != 0 {
		t.Errorf("%+v", s)
	}
	// The server gets none of the bytes that could be others.
	if r := l.send(e.data(0, "bad!\n")).Result(); bytes.Contains(r.Payload, []byte("bad")) {
		t.Error("passed")
	}
	l.passes(e.data(5, "more"))
	l.passes(e.acknowledges(9))
	l.passes(e.data(0, "bad!\n")) // the server has the others
	l.passes(other.data(2, "od\n"))
	if !half.Result().Passed {
		t.Error("dropped")
	}
}

// Before a server has acknowledged the SYN it has no data of this connection.
func TestDataBeforeHandshake(t *testing.T) {
	e := ends4
	l := newLab(t, connection.Config{Hold: true}, line)
	l.passes(e.tcp("S", isn, 0, ""))
	l.dropped(e.data(0, "good\n"))
	l.passes(e.reverse().tcp("A", peerISN+50, isn+100, "")) // of an earlier connection
	l.dropped(e.data(0, "good\n"))
	l.passes(e.reverse().tcp("SA", peerISN, isn+1, ""))
	l.dropped(e.tcp("A", isn+1, peerISN+2, "bad\n")) // acknowledges what was not sent
	l.dropped(e.tcp("A", isn+1, peerISN, "bad\n"))
	l.passes(e.reply(0, "hello"))
	l.passes(e.tcp("A", isn+1, peerISN+6, "good\n"))
	if s := l.Stats(); s.Ignored != 2 || s.Unanswered != 2 || s.Accepted != 1 {
		t.Errorf("%+v", s)
	}
}

// Late packets of an earlier connection with the same ports, and a second answer of a server that
// keeps nothing of a SYN, do not have the client's data taken for that of another.
func TestAnswersBeforeData(t *testing.T) {
	for name, answers := range map[string]func(ends) [][]byte{
		"late data": func(e ends) [][]byte {
			return [][]byte{e.reverse().tcp("A", 3e9, isn-100, "late"), e.reverse().tcp("SA", 5, isn+1, "")}
		},
		"late SYN-ACK": func(e ends) [][]byte {
			return [][]byte{e.reverse().tcp("SA", 100000, isn-100, ""), e.reverse().tcp("SA", 5, isn+1, "")}
		},
		"two": func(e ends) [][]byte {
			return [][]byte{e.reverse().tcp("SA", 3e9, isn+1, ""), e.tcp("S", isn, 0, ""),
				e.reverse().tcp("SA", 5, isn+1, "")}
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := ends4
			l := newLab(t, connection.Config{Hold: true}, func(c *connection.Conn) connection.Answer {
				if len(c.Bytes(connection.Reply)) > 0 {
					t.Errorf("the server says %q", c.Bytes(connection.Reply))
				}
				return line(c)
			})
			l.passes(e.tcp("S", isn, 0, ""))
			for _, p := range answers(e) {
				l.passes(p)
			}
			l.passes(e.tcp("A", isn+1, 6, ""))
			l.passes(e.reverse().tcp("SA", 3e9, isn+1, "")) // late again
			l.passes(e.tcp("A", isn+1, 6, "good\n"))
			if s := l.Stats(); s.Accepted != 1 || s.Ignored != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// A program that queues one direction only is told once why its connections stall. One whose
// clients say something too early is not.
func TestUnansweredLogged(t *testing.T) {
	var log bytes.Buffer
	l := &lab{t: t, k: nfqueuetest.NewKernel(t),
		Tracker: connection.New(connection.Config{}, connection.HandlerFunc(line))}
	l.k.Serve(nfqueue.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}, l)
	e := ends4
	l.passes(e.tcp("S", isn, 0, ""))
	l.dropped(e.data(0, "early"))
	l.passes(e.reverse().tcp("SA", peerISN, isn+1, ""))
	l.passes(e.ack())
	l.passes(e.data(0, "good\n"))
	if log.Len() != 0 {
		t.Errorf("the log says\n%s", &log)
	}
	for i := range 3 {
		e := ends4.port(5000 + i)
		l.passes(e.tcp("S", isn, 0, ""))
		l.passes(e.ack())
		l.dropped(e.data(0, "good\n"))
		l.dropped(e.data(0, "good\n"))
	}
	if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "OneWay") ||
		!strings.Contains(text, "192.0.2.1:5000") {
		t.Errorf("the log says\n%s", text)
	}
	if s := l.Stats(); s.Unanswered != 7 || s.Ignored != 0 {
		t.Errorf("%+v", s)
	}
}

// An ICMP error has the kernel carry on with nothing that is not acknowledged, and a connection
// that is rejected because of one stays rejected.
func TestErrorOffload(t *testing.T) {
	e := ends4
	l := newLab(t, connection.Config{Offload: marks{}}, func(c *connection.Conn) connection.Answer {
		if c.News() == connection.Unreachable {
			return connection.Reject
		}
		return line(c)
	})
	send := func(p []byte) nfqueuetest.Result {
		t.Helper()
		return l.k.Send(0, nfqueuetest.Spec{Payload: p,
			Match: func(nfqueuetest.Spec) bool { return false }}).Result()
	}
	l.open(e)
	l.passes(e.data(0, "good\n"))
	if r := send(e.icmpError(e.data(0, "good\n"))); !r.Passed || r.Mark != 0 {
		t.Errorf("accepted: %+v", r)
	}
	e = e.port(4001)
	l.open(e)
	l.passes(e.data(0, "go"))
	if r := send(e.icmpError(e.data(0, "go"))); r.Passed || r.Mark != 0 {
		t.Errorf("rejected: %+v", r)
	}
	if r := send(e.data(2, "od\n")); r.Mark != 3 {
		t.Errorf("behind: mark %d", r.Mark)
	}
}

// A connection that is accepted on what the server says is not offloaded before the client has it.
func TestUnprovenReply(t *testing.T) {
	e := ends4
	l := newLab(t, connection.Config{}, func(c *connection.Conn) connection.Answer {
		if string(c.Bytes(connection.Reply)) == "220 " {
			return connection.Accept
		}
		return connection.More
	})
	l.open(e)
	l.passes(e.reply(0, "220 "))
	l.dropped(e.reply(0, "550 "))
	l.passes(e.tcp("A", isn+1, peerISN+5, ""))
	l.passes(e.reply(0, "550 "))
}

// Nothing is allocated for a packet of a connection that waits for its acknowledgement.
func TestUnprovenAllocations(t *testing.T) {
	tr := connection.New(connection.Config{}, connection.HandlerFunc(accept))
	inside(t, ends4.data(0, "some text"), func(p *nfqueue.Packet) {
		tr.ServePacket(p)
		if got := testing.AllocsPerRun(1000, func() { tr.ServePacket(p) }); got != 0 {
			t.Errorf("%v allocations for a packet", got)
		}
	})
	if s := tr.Stats(); s.Accepted != 1 || s.Memory == 0 {
		t.Errorf("%+v", s)
	}
}
