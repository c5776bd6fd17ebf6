// SPDX-License-Identifier: GPL-2.0-or-later

package connection_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/connection"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
)

// What a handler is told, call by call.
func TestNews(t *testing.T) {
	var calls []string
	e := ends6
	k := nfqueuetest.NewKernel(t)
	tr := connection.New(connection.Config{}, connection.HandlerFunc(func(c *connection.Conn) connection.Answer {
		n, _ := c.Value.(int)
		c.Value = n + 1
		calls = append(calls, fmt.Sprintf("%d %v %v %q %q %d", n, c.News(), c.Direction(),
			c.Bytes(connection.Original), c.Bytes(connection.Reply), len(c.Packet().Payload())))
		uid, gid, ok := c.User()
		if f := c.Flow(); f.SrcAddrPort() != e.client || f.DstAddrPort() != e.server || uid != 7 ||
			gid != 8 || !ok ||
			c.Hook() != nfqueue.HookOutput || c.InDev() != 0 || c.OutDev() != 5 || c.Middle() ||
			c.Packets() == 0 {
			t.Errorf("%v, user %d %d %v, hook %v, devices %d and %d", f, uid, gid, ok, c.Hook(), c.InDev(),
				c.OutDev())
		}
		return connection.More
	}))
	k.Serve(nfqueue.Config{Flags: nfqueue.UIDGID}, tr)
	for i, p := range [][]byte{
		e.tcp("S", isn, 0, ""), e.reverse().tcp("SA", peerISN, isn+1, ""), e.ack(),
		e.data(2, "cd"), e.data(0, "ab"), e.reply(0, "xyz"), e.data(0, "ab"), e.data(2, "XX"),
		e.tcp("FA", isn+5, peerISN+4, "e"), e.reverse().tcp("RA", peerISN+4, isn+6, ""),
	} {
		s := nfqueuetest.Spec{Payload: p, Hook: nfqueue.HookInput, InDev: 4}
		if i == 0 {
			s = nfqueuetest.Spec{Payload: p, Hook: nfqueue.HookOutput, OutDev: 5,
				Owner: &nfqueuetest.Owner{UID: 7, GID: 8}}
		}
		k.Send(0, s).Result()
	}
	want := []string{
		`0 opened original "" "" 60`,
		`1 data original "abcd" "" 62`,
		`2 data reply "abcd" "xyz" 63`,
		`3 conflict original "abcd" "xyz" 62`,
		`4 data|finished original "abcde" "xyz" 61`,
		`5 reset reply "abcde" "xyz" 60`,
	}
	if fmt.Sprint(calls) != fmt.Sprint(want) {
		t.Errorf("got\n%q, want\n%q", calls, want)
	}
}

// marks is an Offload that sets a mark.
type marks struct{}

func (marks) Accept(p *nfqueue.Packet) nfqueue.Verdict { p.SetMark(1); return nfqueue.Accept }
func (marks) Drop(p *nfqueue.Packet) nfqueue.Verdict   { p.SetMark(2); return nfqueue.Repeat }
func (marks) Reject(p *nfqueue.Packet) nfqueue.Verdict { p.SetMark(3); return nfqueue.Repeat }

// Every packet of a decided connection gets its verdict from the Offload, if it is accepted from
// the acknowledgement of its data on; one is rejected.
func TestOffload(t *testing.T) {
	notAgain := func(nfqueuetest.Spec) bool { return false }
	for _, hold := range []bool{true, false} {
		for _, text := range []string{"good\n", "bad\n", "reject\n"} {
			e := ends4
			l := newLab(t, connection.Config{Hold: hold, Offload: marks{}}, line)
			send := func(p []byte) *nfqueuetest.Flight {
				return l.k.Send(0, nfqueuetest.Spec{Payload: p, Match: notAgain})
			}
			l.open(e)
			first, second := send(e.data(0, text[:2])), send(e.data(2, text[2:4]))
			last, behind := send(e.data(4, text[4:]+"?")),
				send(e.reverse().tcp("A", peerISN+1, isn+2+uint32(len(text)), "hello"))
			marksOf := [4]uint32{first.Result().Mark, second.Result().Mark, last.Result().Mark,
				behind.Result().Mark}
			var wantMarks [4]uint32
			switch {
			case text == "good\n":
				wantMarks = [4]uint32{0, 0, 0, 1} // the server acknowledges it
			case !hold && text == "reject\n":
				wantMarks = [4]uint32{0, 0, 3, 3}
			case !hold:
				wantMarks = [4]uint32{0, 2, 2, 2}
			case text == "reject\n":
				wantMarks = [4]uint32{2, 2, 3, 3}
			case text == "bad\n":
				wantMarks = [4]uint32{2, 2, 2, 2}
			}
			if marksOf != wantMarks {
				t.Errorf("hold %v, %q: marks %v, want %v", hold, text, marksOf, wantMarks)
			}
		}
	}
}

// Several SYN that wait together, with the ports of a decided connection, pass the queue once.
func TestPortsAgainTogether(t *testing.T) {
	e := ends4
	tr := connection.New(connection.Config{Hold: true, Offload: marks{}}, connection.HandlerFunc(line))
	k := nfqueuetest.NewKernel(t)
	served, more := make(chan struct{}), make(chan struct{})
	k.Serve(nfqueue.Config{}, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		served <- struct{}{}
		<-more
		return tr.ServePacket(p)
	}))
	var flights []*nfqueuetest.Flight
	for seq := range uint32(3) {
		flights = append(flights, k.Send(0, nfqueuetest.Spec{Payload: e.tcp("S", 1000*seq, 0, "")}))
	}
	for range flights {
		<-served
		more <- struct{}{}
	}
	for i, f := range flights {
		if r := f.Result(); !r.Passed || len(r.Hops) != 1 {
			t.Errorf("SYN %d: %+v", i, r)
		}
	}
}

// What is held is rejected when there is no packet in hand that can be.
func TestRejectOfHeld(t *testing.T) {
	e := ends4
	l := newLab(t, connection.Config{Hold: true, Offload: marks{}},
		func(c *connection.Conn) connection.Answer {
			if len(c.Bytes(connection.Reply)) > 0 {
				return connection.Reject
			}
			return connection.More
		})
	l.open(e)
	one := l.k.Send(0, nfqueuetest.Spec{Payload: e.data(0, "a"),
		Match: func(nfqueuetest.Spec) bool { return false }})
	two := l.k.Send(0, nfqueuetest.Spec{Payload: e.data(1, "b"),
		Match: func(nfqueuetest.Spec) bool { return false }})
	l.passes(e.ack())
	r := l.k.Send(0, nfqueuetest.Spec{Payload: e.reply(0, "bad"),
		Match: func(nfqueuetest.Spec) bool { return false }}).Result()
	if one.Result().Mark != 2 || two.Result().Mark != 3 || r.Mark != 3 {
		t.Errorf("marks %d, %d, %d", one.Result().Mark, two.Result().Mark, r.Mark)
	}
}

// Each worker has a tracker, and sees both directions of its connections.
func TestServeFlows(t *testing.T) {
	const workers, conns = 3, 60
	var trackers [workers]*connection.Tracker
	var wrong atomic.Int32
	k := nfqueuetest.NewKernel(t)
	q, err := k.Open(nfqueue.Config{MaxLen: 4096})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		served <- q.ServeFlows(ctx, workers, func(i int) nfqueue.Handler {
			trackers[i] = connection.New(connection.Config{Hold: true},
				connection.HandlerFunc(func(c *connection.Conn) connection.Answer {
					if c.Middle() {
						wrong.Add(1)
					}
					return line(c)
				}))
			return trackers[i]
		})
	}()
	l := &lab{t: t, k: k}
	var good, bad []*nfqueuetest.Flight
	for i := range conns {
		e := ends4.port(4000 + i)
		l.open(e)
		text := "good\n"
		if i%2 == 1 {
			text = "bad!\n"
		}
		for at := range len(text) {
			f := l.send(e.data(at, text[at:at+1]))
			if i%2 == 0 {
				good = append(good, f)
			} else {
				bad = append(bad, f)
			}
		}
	}
	for i := range good {
		if !good[i].Result().Passed || bad[i].Result().Passed {
			t.Errorf("packet %d: good %v, bad %v", i, good[i].Result().Passed, bad[i].Result().Passed)
		}
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
	var sum connection.Stats
	for _, tr := range trackers {
		if tr.Stats().Opened == 0 {
			t.Error("a worker has seen no connection")
		}
		sum = sum.Add(tr.Stats())
	}
	if sum.Opened != conns || sum.Accepted != conns/2 || sum.Dropped != conns/2 || wrong.Load() != 0 {
		t.Errorf("%+v, %d in the middle", sum, wrong.Load())
	}
}
